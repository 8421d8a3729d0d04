"""The methods beside the loop itself: the paper's comparisons, and what it builds on top.

They are ladders (many budgets for the cost of the longest), the original's two loops, conditional
control, rejection sampling, votes over samples, and REBASE. Each public call is also in
`s1lab`.
"""
