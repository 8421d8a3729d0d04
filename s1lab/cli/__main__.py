"""``python -m s1lab.cli``: the same as the command ``s1lab``."""

from s1lab.cli import app

app(prog_name="s1lab")
