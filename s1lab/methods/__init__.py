"""The methods beside the loop itself: what the paper compares with, and what it builds on top.

Ladders (many budgets for the cost of the longest), the original's two loops, conditional control
and rejection sampling, votes over samples, and REBASE. Each public call is also :mod:`s1lab`'s.
"""
