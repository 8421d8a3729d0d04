"""The engines behind `s1lab.load`, one file each, and the files they share.

Nothing is imported before it is needed, because torch, transformers and vLLM take seconds.
"""
