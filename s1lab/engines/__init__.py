"""The engines behind :func:`s1lab.load`, one file each, and what they share: model files, weights, the prefix cache.

Nothing is imported before it is needed: torch, transformers and vLLM take seconds.
"""
