"""Widgets for notebooks: traces, a live question, a stored ladder, and the drops of a curation.

    lab.widgets.explore(results, other)      # a run's traces, token by token, beside another run's
    lab.widgets.playground(engine)           # a question, a budget, and the tokens as they come
    lab.widgets.ladder(ladder)               # drag the budget along what is stored
    lab.widgets.pool([quality, leaked])      # a curation's funnel, and each drop with its reason

They are made of ipywidgets' own controls, so they work with the keyboard. Without a kernel they are
shown as HTML.
"""

try:
    import ipywidgets as _ipywidgets  # noqa: F401
except ImportError:
    raise ImportError('the widgets need ipywidgets: pip install "s1lab[notebooks]"') from None

from s1lab.widgets.explore import Explorer, explore
from s1lab.widgets.ladder import LadderSlider, ladder
from s1lab.widgets.playground import Playground, playground
from s1lab.widgets.pool import PoolBrowser, pool
from s1lab.widgets.streaming import stream

__all__ = [
    "Explorer",
    "LadderSlider",
    "Playground",
    "PoolBrowser",
    "explore",
    "ladder",
    "playground",
    "pool",
    "stream",
]
