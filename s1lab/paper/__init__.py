"""What the paper reports: its numbers, and what is compared with them."""

from s1lab.paper.numbers import *  # noqa: F403
