"""Which questions the embedded models know, and the note where a question is none of them.

The models answer any text with the same confidence. So whoever asks one by hand is told.
"""

from __future__ import annotations

from s1lab.engines.model_names import EMBEDDED
from s1lab.questions import Question
from s1lab.tiny.families import EXAMPLES, family_of

WHERE = "lab.tiny.EXAMPLES has one of each kind"


def scope_note(model: str, question: Question, where: str = WHERE) -> str | None:
    """Say that an embedded model does not know this kind of question.

    Args:
        model: The name of the model, as `s1lab.Engine` has it.
        question: The question, a text or a list of messages.
        where: Says where the examples are.

    Returns:
        One sentence. None for a question of a known family, and for any other model.

    Example:
        >>> lab.tiny.scope_note("s1-tiny", "How many r in raspberry?") is None
        True
    """
    text = question if isinstance(question, str) else str(question[-1]["content"])
    # What asks for a length, as in `s1lab.methods.conditional`, is a paragraph of its own.
    if model not in EMBEDDED or family_of(text.partition("\n\n")[0]):
        return None
    return (
        f"{model} was taught six kinds of questions only, and this is none of them, so its answer "
        f"means nothing: it counts letters ({EXAMPLES['letters']}), finds the smallest x of an "
        "equation mod m, finds the two numbers with a given sum, places + and -, says who is "
        f"tallest, and finds greatest common divisors; {where}."
    )
