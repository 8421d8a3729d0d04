"""Evaluation: benchmarks, the grader, whole runs over a benchmark, and their statistics.

``lab.benchmarks``, ``lab.grade`` and ``lab.metrics`` are modules of this folder.
"""
