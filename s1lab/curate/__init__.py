"""Curation: from a pool of questions with traces to a thousand, as in the paper's section 2.

Every draw is seeded, and every dropped row is counted. Each step is a function over a
``datasets.Dataset``. It returns the rows it kept, and a `Report` of the rows it dropped and
why:

    pool, quality = curate.quality(pool)
    pool, repeats = curate.deduplicate(pool)
    pool, leaked = curate.decontaminate(pool, [benchmark])
    models = ["Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-32B-Instruct"]
    pool, solved = curate.difficulty(pool, models, store="runs/difficulty.db")
    chosen, rest = curate.select(pool, 1000, seed=0)
    print(curate.funnel(quality, repeats, leaked, solved, rest))

The steps know these columns: question, answer, kind (how an answer is graded, "math" if missing),
source, domain, thinking and attempt (a teacher's trace and answer), thinking_tokens, correct.
`read` renames the columns of published files to these names.
"""

from s1lab.curate.difficulty import count_tokens, difficulty
from s1lab.curate.domains import SUBJECTS, domains
from s1lab.curate.io import digest, read, to_sft, write
from s1lab.curate.overlap import decontaminate, deduplicate
from s1lab.curate.quality import FORMATTING, MISSING, RULES, quality
from s1lab.curate.report import Report, funnel
from s1lab.curate.selection import diverse, full, longest, random, select
from s1lab.curate.teacher import traces

__all__ = [
    "FORMATTING",
    "MISSING",
    "RULES",
    "SUBJECTS",
    "Report",
    "count_tokens",
    "decontaminate",
    "deduplicate",
    "difficulty",
    "digest",
    "diverse",
    "domains",
    "full",
    "funnel",
    "longest",
    "quality",
    "random",
    "read",
    "select",
    "to_sft",
    "traces",
    "write",
]
