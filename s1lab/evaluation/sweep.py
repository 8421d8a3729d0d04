"""The results of a sweep: a scaling curve, rung by rung."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from s1lab.evaluation.results import Results
from s1lab.methods.costs import Cost, shared_cost

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


class Sweep(dict[str, Results]):
    """The Results of each rung of a sweep, by the rung's name, in order.

    It is a dictionary: ``found["cap 16"]``, ``found.items()``. Printed, it is a table.

    Example:
        found = lab.sweep(lab.load("s1-tiny"), lab.tiny.problems(8), caps=(16, 64), waits=(0, 1))
        print(found)
        print(found["own stop"].accuracy, found.cost)
    """

    @property
    def cost(self) -> Cost:
        """The tokens of the whole sweep. What several rungs share was written once."""
        ladders = zip(*(results.traces for results in self.values()), strict=True)
        return sum((shared_cost(rungs) for rungs in ladders), Cost())

    def to_pandas(self) -> pd.DataFrame:
        """The table: accuracy, interval, tokens and failures, a row for each rung."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "rung": name,
                "accuracy": results.accuracy,
                "low": results.interval.low,
                "high": results.interval.high,
                "thinking_tokens": results.thinking_tokens,
                "questions": len(results),
                "failed": results.failed,
                "answers_cut": results.answers_cut,
            }
            for name, results in self.items()
        ]
        return pd.DataFrame(rows).set_index("rung")

    def plot(self, title: str | None = None) -> go.Figure:
        """Draw accuracy over thinking tokens.

        Args:
            title: What was measured. None is the model.

        Returns:
            The figure. A notebook shows it, and `s1lab.figures.save` writes it.
        """
        from s1lab import figures  # it is above this folder, and needed for the picture alone

        rungs = [figures.Rung(n, r.thinking_tokens, r.interval) for n, r in self.items()]
        waits = [rung for rung in rungs if "Wait" in rung.label]
        model = next(iter(self.values())).made.get("model", "the model")
        return figures.scaling(
            [rung for rung in rungs if rung not in waits],
            waits,
            title=figures.called(model) if title is None else title,
        )

    def save(self, path: str | Path) -> dict[str, Path]:
        """Write the run of each rung to a new file, as ``s1lab evaluate --save`` does.

        Args:
            path: Such as "runs/x.jsonl", for "runs/x-cap-16.jsonl" and so on.

        Returns:
            The file of each rung.

        Raises:
            FileExistsError: One of the files exists. Nothing is written then.
        """
        path = Path(path).expanduser()
        files = {
            rung: path.with_name(f"{path.stem}-{rung.replace(' ', '-')}{path.suffix}")
            for rung in self
        }
        for file in files.values():
            if file.exists():
                raise FileExistsError(f"{file} exists: give another name, or remove it")
        for rung, file in files.items():
            self[rung].save(file)
        return files

    def __repr__(self) -> str:
        first = next(iter(self.values()), None)
        if first is None:
            return "Sweep()"
        lines = [
            f"{name:<10} {results.interval!s:>20} %  {results.thinking_tokens:>8,.0f} tokens"
            + (f"  {results.failed} FAILED" if results.failed else "")
            + (f"  {results.answers_cut} answers cut" if results.answers_cut else "")
            for name, results in self.items()
        ]
        top = f"Sweep on {len(first)} questions: accuracy with its 95 % interval, thinking tokens"
        return "\n".join([top, *lines])

    def _repr_html_(self) -> str:
        return str(self.to_pandas().round(1).to_html()) if self else "Sweep()"
