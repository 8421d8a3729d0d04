"""Answers as models and people write them. Each row is a response, a reference and the right
verdict.

The first rows of each group are findings of a trial against other people's graders; their siblings
follow.
"""

from __future__ import annotations

import json
import random

import pytest

from s1lab.evaluation import grade
from tests.helpers import FIXTURES

GRADERS = FIXTURES / "graders"

WHOLE = [  # what can't be read as a whole is never equal to a part of itself
    (r"\boxed{6√2}", "6", False),
    (r"\boxed{6√2}", r"6\sqrt{2}", True),
    (r"\boxed{2 + sqrt(3), 2 - sqrt(3)}", "2", False),
    (r"\boxed{2 + sqrt(3), 2 - sqrt(3)}", r"2 - \sqrt{3}, 2 + \sqrt{3}", True),
    (r"\boxed{4*sqrt(2*(1+m^2)*a)}", "4", False),
    (r"\boxed{4√2 + 8}", "8", False),
    ("The answer is 3x².", "3", False),
    ("The answer is 3x².", "3x^2", True),
    ("The answer is 5².", "52", False),
    ("The answer is 5².", "25", True),
    ("The answer is 10³.", "103", False),
    ("The answer is 10³.", "1000", True),
    (r"\boxed{31.\overline{6}}", "31", False),
    (r"\boxed{31.\overline{6}}", r"\frac{95}{3}", True),
    (r"\boxed{0.\overline{142857}}", r"\frac17", True),
    (r"\boxed{7 + }", "7", False),
    (r"\boxed{\frac{3}{}", "3", False),
    (r"\boxed{3!}", "3", False),
    (r"\boxed{3!}", "6", True),
    (r"\boxed{12\frac12}", "12", False),
    (r"\boxed{a_5}", "5", False),
    (r"\boxed{x^{12}}", "12", False),
    (r"\boxed{\log_2 3}", "3", False),
    # upright letters behind a number are symbols, unless they are units
    (r"\boxed{5\mathrm{i}}", "5", False),
    (r"\boxed{5\mathrm{i}}", "5i", True),
    (r"\boxed{2\mathrm{e}^3}", "2", False),
    (r"\boxed{3\text{ pi}}", "3", False),
    (r"\boxed{3\mathrm{x}}", "3x", True),
    (r"\boxed{3\,\mathrm{J}}", "3", True),
    (r"\boxed{5\text{ d}}", "5", True),
    # a space between digits is not nothing
    ("The answer is 1 1/2.", "11/2", False),
    (r"\boxed{12 7/8}", "127/8", False),
    (r"\boxed{2 3}", "23", False),
    # fractions in words
    ("The answer is 3 tenths.", "3", False),
    ("The answer is 3 tenths.", "0.3", True),
    ("three halves", r"\frac32", True),
    (r"\boxed{7 \text{ thousandths}}", "7", False),
    ("He has 3 quarters.", "3", True),
    # a calculation is worth what it says, even if it is wrong
    ("Answer: 300 - 280 = 80 pounds", "20", False),
    (r"\boxed{7 \times 8 = 54}", "56", False),
    (r"\boxed{2/3 = 0.67}", r"\frac23", True),
    ("The answer is 3 times x.", "3", False),
    ("The answer is 5 less than y.", "5", False),
]
NUMBERS = [
    (r"\boxed{6.02e-23}", "1.38e-23", False),
    (r"\boxed{6.02e-23}", r"6.02 \times 10^{-23}", True),
    (r"\boxed{1e-12}", "0", False),
    (r"\boxed{0.0}", "0", True),
    (r"\boxed{1 + 1/\mathrm{e}}", "1", False),
    (r"\boxed{1 + 1/\mathrm{e}}", r"1 + \frac{1}{e}", True),
    (r"\boxed{0.3333333}", r"\frac13", True),
    (r"\boxed{0.333333}", r"\frac13", True),
    (r"\boxed{0.33}", r"\frac13", False),
    (r"\boxed{3.14159265}", r"\pi", True),
    (r"\boxed{3.14}", r"\pi", False),
    (r"\boxed{2.0000001}", "2", False),
    (r"\boxed{1000001}", "1000000", False),
    (r"\boxed{5.699999999999999}", "5.7", True),
    (r"\boxed{3.1415926}", "3.1415927", True),  # neither is exact: one part in a million
    (r"\boxed{3.1415}", "3.1416", False),
    ("The answer is 3.2e4.", "32000", True),
    (r"\boxed{3.2 \times 10^4}", "32000", True),
    ("The answer is 3.2×10⁴.", "32000", True),
    ("The answer is eleven.", "11", True),
    ("The answer is twenty-one.", "21", True),
    ("The answer is one hundred and five.", "105", True),
    ("The answer is twelve.", "11", False),
    (r"\boxed{1 1/2}", r"\frac32", True),
    (r"\boxed{1\frac12}", r"\frac32", True),
    ("Answer: 1½", "1.5", True),
    ("Answer: **1/2**.", r"\frac12", True),
    (r"\boxed{√2}", r"\sqrt2", True),
    (r"\boxed{x²+1}", "x^2+1", True),
    (r"\boxed{pi/2}", r"\frac{\pi}{2}", True),
    (r"\boxed{-1 + sqrt(3)}", r"\sqrt{3} - 1", True),
    (r"\boxed{35.0\%}", "35", True),
    (r"\boxed{50\%}", r"\frac12", True),
    (r"\boxed{50\%}", "5", False),
    (r"\boxed{1\,073}", "1073", True),
    (r"\boxed{2\ 048}", "2048", True),
    (r"\boxed{1{,}073}", "1073", True),
    (r"\boxed{1\;073}", "1073", True),
    (r"\boxed{１２３}", "123", True),
    (r"\boxed{–73}", "-73", True),
    ("The answer is $18.00$.", "18", True),
    ("The answer is $18.00.", "18", True),
    ("Final Answer: 73.0", "73", True),
    (r"\boxed{42.0}", "42", True),
    ("Answer: 73 (25 + 48)", "73", True),
    ("Answer: 73 (25 + 47)", "73", False),
    ("Answer: 73 (mod 1000)", "73", True),
    (r"\boxed{73 \pmod{1000}}", "73", True),
    ("The answer is 73 = 25 + 48.", "73", True),
    ("Answer: p = 73 with q = 5", "73", True),
    ("Answer: p = 73 with q = 5", "5", False),
    ("14,507 + 213 = 14,720", "14720", True),
]
UNITS = [
    (r"\boxed{5\text{ hours}}", r"5\text{ minutes}", False),
    ("It takes 5 minutes.", "5 hours", False),
    ("It takes 60 minutes.", "1 hour", True),
    (r"\boxed{5 cm}", "5 m", False),
    (r"\boxed{500 cm}", "5 m", True),
    (r"\boxed{5\text{ cm}^2}", r"5\text{ cm}", False),
    ("5 cents", "5 dollars", False),
    ("500 cents", r"\$5", True),
    (r"\boxed{\$36}", r"36^\circ", False),
    (r"\boxed{36^{\circ}}", "36", True),
    ("36 degrees", r"36^\circ", True),
    ("Answer: Kaleb would have 24 books.", "24", True),
    ("The answer is 18 dollars.", "18", True),
    ("The answer is 18 dollars.", r"\$18", True),
    (r"\boxed{10 weeks}", "10", True),
    (r"\boxed{10weeks}", "10", True),
    (r"\boxed{10 cm^2}", "10", True),
    (r"\boxed{15\text{ cm}^2}", "15", True),
    (r"\boxed{2\sqrt{3}\text{ cm}}", r"2\sqrt{3}", True),
    (r"\boxed{3x}", "3", False),
    (r"\boxed{60\text{ km/h}}", "60 km per hour", True),
    (r"\boxed{60\text{ km/h}}", "60 miles per hour", False),
]
BASES = [
    (r"\boxed{664}", "664_7", True),
    (r"\boxed{664_7}", "664_7", True),
    (r"\boxed{664_{\text{seven}}}", "664_7", True),
    (r"\boxed{664_8}", "664_7", False),
    (r"\boxed{42}", "52_8", False),
    (r"\boxed{52_8}", "42", True),
    (r"\boxed{-221_3}", "-221", False),
    (r"\boxed{-221_3}", "-25", True),
    (r"\boxed{40}", "40_9", True),
    (r"\boxed{1A_{16}}", "26", True),
    (r"\boxed{221 \text{ (base 3)}}", "221", False),
    (r"\boxed{221 \text{ (base 3)}}", "25", True),
    (r"\boxed{221 \text{ in base three}}", "221_3", True),
    (r"\boxed{221_{\text{base 3}}}", "221_3", True),
    (r"\boxed{221\ (\text{base } 3)}", "221_4", False),
    ("The answer is 221 (base three).", "221_3", True),
    ("The answer is 221 (base three).", "3", False),
]
FORMS = [
    (r"\boxed{x \in (3,4]}", "(3,4]", True),
    (r"\boxed{x \in [3,4]}", "(3,4]", False),
    ("(3,4]", r"x \in (3,4]", True),
    ("The answer is $x<3$.", r"(-\infty,3)", True),
    ("The answer is $x \\le 3$.", r"(-\infty,3)", False),
    ("The answer is $3 > x$.", r"(-\infty,3)", True),
    (r"The answer is $(-\infty,3)$.", "x<3", True),
    (r"The answer is $2 \le x < 5$.", "[2,5)", True),
    (r"The answer is $x < 1$ or $x > 2$.", r"(-\infty,1) \cup (2,\infty)", True),
    (r"\boxed{(2,\infty) \cup (-\infty,1)}", r"(-\infty,1) \cup (2,\infty)", True),
    (r"\boxed{x=1, y=2}", "(1,2)", True),
    (r"\boxed{y=2, x=1}", "(1,2)", True),
    (r"\boxed{x=2, y=1}", "(1,2)", False),
    ("(1,2)", "x=1, y=2", True),
    (r"\boxed{(5,2),(7,2)}", "p=5,q=2;p=7,q=2", True),
    (r"\boxed{3 \pm 2}", "1, 5", True),
    (r"\boxed{\{1,2,3\}}", "3, 2, 1", True),
    (r"\boxed{1,2}", "1,2,3", False),
    (r"\boxed{(-2,1)}", "1,-2", False),
    (r"\boxed{\begin{pmatrix}1\\2\end{pmatrix}}", r"\begin{bmatrix}1\\2\end{bmatrix}", True),
    (
        r"\boxed{\begin{pmatrix}1&0\\0&1\end{pmatrix}}",
        r"\begin{pmatrix}1&0\\0&2\end{pmatrix}",
        False,
    ),
    (r"\boxed{2}", "2 = y", True),
    (r"\boxed{5x + 4 = 0}", "0", False),
    (r"\boxed{x = 5}", "y = 5", False),
    (r"\boxed{y = 2x + 3}", "2x+3", True),
    (r"\boxed{\text{Evelyn}}", "Evelyn", True),
    ("The answer is June 20.", r"\text{June 20}", True),
    (r"\boxed{The\ area\ is\ \frac{54\sqrt{6}}{25}}", r"\frac{54\sqrt{6}}{25}", True),
    (r"\boxed{1} papers and \boxed{2} bins", "1,2", True),
    (r"\boxed{1} and \boxed{2} and \boxed{3}", "1,2,3", True),
    (r"$\boxed{1}$, $\boxed{2}$", "2,1", True),
    (r"\boxed{1} and \boxed{2}", "2", False),
]
HEDGES = [
    (r"\boxed{3} or \boxed{5}", "5", False),
    (r"$\boxed{3}$ or $\boxed{5}$", "3", False),
    (r"\boxed{3} or maybe \boxed{5}", "5", False),
    ("The answer is 74 or 73.", "73", False),
    ("74 or 73", "74", False),
    (r"\boxed{74 \text{ or } 73}", "73", False),
    (r"\boxed{x = 1 \text{ or } x = -1}", "-1, 1", True),
    (r"\boxed{\frac12 \text{ or } 0.5}", "0.5", True),
    ("Either 1/2 or 1/3.", "1/2", False),
    ("The answer is 1/2 or maybe 1/3", r"\frac12", False),
    ("The probability is 1/6 or about 16.7%.", r"\frac16", True),
    (r"\boxed{12} or it could be \boxed{13}", "13", False),
]
PLACES = [
    ("There are 73 students. The mean is \\boxed{12.5}.", "12.5", True),
    ("$6400 + $400 = $6800", "6400", False),
    ("$6400 + $400 = $6800", "6800", True),
    ("He pays $5 for $x$ apples, so the answer is $12.", "12", True),
    ("So the answer should be 73.", "73", True),
    ("The answer must be 73.", "73", True),
    ("Final Answer: The largest $n$ is 34.", "34", True),
    ("Final Answer: The value of $k$ is $8$.", "8", True),
    ("I hope my final answer helps you. There are 14 apples.", "14", True),
    ("<answer>73</answer>", "73", True),
    ("<answer> 73", "73", True),
    (r"\boxed{7} is in a \boxed in LaTeX.", "7", True),
    (r"Put it in a \boxed. \boxed{7}", "7", True),
    ('{"reasoning": "2 + 10 = 12, not 13", "answer": "12"}', "12", True),
    ('```json\n{"answer": 12}\n```', "12", True),
    ('{"answer": "\\frac{1}{2}"}', r"\frac12", True),
    ("There are 14 apples in 3 bags.", "14", True),
    ("In 3 bags there are 14 apples.", "14", True),
    ("Jason earned $9.00 of $12.00. #### 9", "9", True),
    ("Carlos and Benji pay $90 + $90 = $180. #### 180", "180", True),
    ("**Final Answer**\n\n$$x^2$$\nDone.", "x^2", True),
    ("Answer:\nThere are 5 birds and 4 storks. Therefore, there is 1 more bird.", "1", True),
    ("Ten men can stay upright on the wave.", "10", True),
    ("After 60 days, Cynthia will spend $16.00 on ice cream.", "16", True),
    (r"Answer: 3, or \boxed{4}. Final Answer: 5", "4", True),  # the last box decides
    ("首先，一共有11个男孩。答案是 99。", "99", True),
    # remarks on an answer are none
    ("I computed 31.\n\nI hope this final answer is helpful!", "31", True),
    ("The answer is 31. I am confident this answer is correct.", "31", True),
    ("The total is 31. Let me know if my answer is unclear.", "31", True),
    ("The answer is 31. This final answer is verified.", "31", True),
    ("{'reasoning': 'x', 'answer': '12'}", "12", True),
    ('{"answer": "The answer is 12."}', "12", True),
    ('{"answer": "1/2", "reasoning": "the answer is 3"}', r"\frac12", True),
    # an x between numbers multiplies
    ("$3 x 12 = $36", "36", True),
    ("So 12 x $3 = $36", "3", False),
    ("The cost is 3 x 12 = 36 dollars.", "36", True),
]
INTEGERS = [
    ("There are 73 students. The mean is \\boxed{12.5}.", "73", False),
    (r"\boxed{\frac12}, and then 3", "3", False),
    (r"\boxed{73.0}", "73", True),
    ("73", "73.0", True),
    (r"\boxed{\$50.00}", "50", True),
    (r"\boxed{\frac{146}{2}}", "73", True),
    (r"\boxed{7.3\times 10^1}", "73", True),
    (r"\boxed{74, 73}", "73", False),
    (r"\boxed{12\frac{1}{2}}", "12", False),
    (r"\boxed{73 \bmod 1000}", "73", True),
    (r"\boxed{\frac{m}{n}: m+n = 73}", "73", True),
    (r"\boxed{25+48=73}", "73", True),
    ("m/n = 25/48, so m+n = 73", "73", True),
    ("Final Answer: The largest $n$ is 34.", "34", True),
    ("Answer: 74 or 73", "73", False),
    ("The answer is 73.5.", "73", False),
    ("Answer: 1.2", "1", False),
]
CHOICES = [
    (r"\boxed{\frac12}. So A is too large.", "A", False),
    (r"\boxed{\frac12}. Answer: D", "D", True),
    ("the answer is (A) or (D)", "A", False),
    ("the answer is (A) or (D)", "D", False),
    ("Answer: B and D", "B", False),
    (r"\boxed{B, C}", "B", False),
    ("ΔH > 0, so (D)", "D", True),
    ("ΔH > 0, so (D)", "H", False),
    ("The charge is 2.5 C, so it is (B).", "B", True),
    ("The charge is 2.5 C.", "C", False),
    ("I believe, B", "B", True),
    ("I believe, B", "I", False),
    ("Final Answer: I am confident that it is B.", "B", True),
    ("The answer is not B.", "B", False),
    ("The answer is not B but C.", "C", True),
    ("A and B are wrong, so it is C", "C", True),
    ("A and B are wrong, so it is C", "A", False),
    ("b", "B", True),
    ("(b)", "B", True),
    ("option b", "B", True),
    ("b)", "B", True),
    (r"\boxed{(c) 5 m/s}", "C", True),
    ("A is the correct answer.", "A", True),
    ("A is correct", "A", True),
    ("A cat is an animal, so the answer is B.", "B", True),
    ("The answer is A because B is wrong", "B", False),
    ("Therefore, option B is the correct answer, not A.", "B", True),
    ("It is B. A is a distractor.", "B", True),
    ("So the answer is (None of the above).", "B", False),
    ('{"answer": "B"}', "B", True),
    ("the right answer, B, follows.", "B", True),
    ("B", "b", True),
    ("A or D is correct", "D", False),
    ("Both A and D are correct.", "D", False),
    ("It is either option A or option D.", "D", False),
    ("A is wrong and D is correct", "D", True),
    ("Options A, B and D can be ruled out, leaving C.", "C", True),
    ("B and C are out; A it is.", "A", True),
    ("A and D could be excluded, so B", "B", True),
    ("(B) is false", "B", False),
    ("(A) False", "A", True),
    ("(D) Cannot be determined", "D", True),
    ("B) not enough information", "B", True),
]


def _id(row: object) -> str | None:
    return row[:40] if isinstance(row, str) else None


@pytest.mark.parametrize(
    ("response", "gold", "right"),
    WHOLE + NUMBERS + UNITS + BASES + FORMS + HEDGES + PLACES,
    ids=_id,
)  # fmt: skip
def test_mathematics(response, gold, right):
    found = grade.verdict(response, gold)
    assert found.correct is right and found.error is None, found


@pytest.mark.parametrize(("response", "gold", "right"), INTEGERS, ids=_id)
def test_integers(response, gold, right):
    assert grade.verdict(response, gold, "integer").correct is right, grade.verdict(
        response, gold, "integer"
    )


@pytest.mark.parametrize(("response", "gold", "right"), CHOICES, ids=_id)
def test_choices(response, gold, right):
    assert grade.verdict(response, gold, "choice").correct is right, grade.verdict(
        response, gold, "choice"
    )


def test_a_number_equals_itself_however_it_is_written_and_no_other():
    """Every spelling of a number, in every sentence, against the number and its neighbour."""
    rng = random.Random(7)
    numbers = [rng.randrange(-99_999, 99_999) for _ in range(40)]
    spellings = [
        "{n}",
        "{n:,}",
        "{n}.0",
        "{n}.00",
        "+{n}",
        "{n} apples",
        "{n}\\text{{ cm}}",
        "\\mathbf{{{n}}}",
    ]
    sentences = [
        "\\boxed{{{}}}", "Final Answer: {}", "The answer is {}.", "So the answer should be {}.",
        "Answer: ${}$",
        "<answer>{}</answer>", "**{}**", "Thus we have\n#### {}",
    ]  # fmt: skip
    rows = []
    for n in numbers:
        spelled = rng.choice(spellings).format(n=n).replace("+-", "-")
        sentence = rng.choice(sentences).format(spelled)
        rows += [
            (sentence, str(n), True),
            (sentence, str(n + 1), False),
            (sentence, str(-n), n == 0),
        ]
    found = grade.verdicts([r for r, _, _ in rows], [g for _, g, _ in rows])
    assert [(row, v) for row, v in zip(rows, found, strict=True) if v.correct is not row[2]] == []


def test_same_is_symmetric_for_answers_of_one_kind():
    answers = [
        "1/2",
        r"\frac12",
        "0.5",
        "50\\%",
        "(1,2)",
        "1,2",
        "2,1",
        "x=1,y=2",
        "[1,2]",
        "5 cm",
        "5 m",
        "x<3",
        r"(-\infty,3)",
    ]
    pairs = [(a, b) for a in answers for b in answers]
    assert [p for p in pairs if grade.same(*p) is not grade.same(*reversed(p))] == []


def test_the_cases_of_a_tester_who_did_not_write_the_graders():
    rows = [
        json.loads(line)
        for line in (GRADERS / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) > 1_500 and 0.4 < sum(row["expected"] for row in rows) / len(rows) < 0.6
    found = grade.verdicts(*([row[name] for row in rows] for name in ("response", "gold", "kind")))
    assert [
        (r, v) for r, v in zip(rows, found, strict=True) if v.correct is not r["expected"]
    ] == []
