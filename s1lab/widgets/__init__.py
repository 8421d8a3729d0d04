"""Widgets for notebooks: look at traces, ask a question live, climb a ladder, browse what a curation dropped.

    lab.widgets.explore(results, other)      # a run's traces, token by token, beside another run's
    lab.widgets.playground(engine)           # a question, a budget, and the tokens while they are written
    lab.widgets.ladder(ladder)               # drag the budget along what is stored
    lab.widgets.pool([quality, leaked])      # the funnel of a curation, and each dropped row with its reason

They are made of ipywidgets' own controls, so they work with the keyboard; where no kernel runs they are HTML.
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

__all__ = ["Explorer", "LadderSlider", "Playground", "PoolBrowser", "explore", "ladder", "playground", "pool", "stream"]
