"""What is kept on disk: the store that a run resumes from, saved runs, replays of both, and their differences.

The folder is not called runs, because the call :func:`s1lab.runs` would hide it.
"""
