"""Everything on disk: the store that resumes a run, saved runs, replays, and differences of runs.

The folder is not called runs, because the call `s1lab.runs` would hide it.
"""
