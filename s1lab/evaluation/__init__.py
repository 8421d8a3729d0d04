"""Evaluation: benchmarks, the grader, whole runs over a benchmark, and the statistics of their numbers.

``lab.benchmarks``, ``lab.grade`` and ``lab.metrics`` are modules of this folder.
"""
