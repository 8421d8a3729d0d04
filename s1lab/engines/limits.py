"""Whether an engine can serve a request: the context, and the rows of the model's embeddings."""

from __future__ import annotations

from s1lab.engine import Request


def misfit(request: Request, context: int, rows: int | None = None) -> str | None:
    """Check whether a request can be served.

    Args:
        request: The request.
        context: The most ids of prompt and completion together.
        rows: How many ids have a row in the model's embeddings. None does not check that.

    Returns:
        A sentence that says why not, or None.
    """
    if rows is not None and request.ids and max(request.ids) >= rows:
        return (
            f"id {max(request.ids)} has no row in the model's embeddings, which are of {rows:,}: "
            "leave that token out"
        )
    if request.ids and request.max_tokens >= 1 and len(request.ids) + request.max_tokens <= context:
        return None
    return (
        f"{len(request.ids)} ids and {request.max_tokens} more do not fit: at least one of each, "
        f"and {context} together"
    )
