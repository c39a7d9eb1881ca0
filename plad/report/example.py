"""One test prompt, and what every model made of it, in the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from plad.errors import PladError, nearest
from plad.records import EvalRow
from plad.report.examples import Example, Examples
from plad.report.read import RunFiles

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, colours or reorders what follows; a line's end and a tab are text."""

FIRST = ("teacher", "student")


def find_example(run: RunFiles, wanted: str) -> tuple[int, Example]:
    """A test prompt that was answered, by its id or else by its number from 1, and that number.

    Raises:
        PladError: there is none, or nothing is answered yet.
    """
    found = Examples(run)
    if not found:
        raise PladError(
            "examples are answers to the test split, but this run has none yet. Run `plad run` on the folder."
        )
    number = next((n for n, example in enumerate(found, start=1) if example.prompt.id == wanted), 0)
    number = number or (int(wanted) if wanted.isdecimal() else 0)
    if not 1 <= number <= len(found):
        near = nearest(wanted, [example.prompt.id for example in found])
        raise PladError(f"an example is an id or a number from 1 to {len(found)}, but this is {wanted!r}.{near}")
    return number, found[number - 1]


def example_json(run: RunFiles, number: int, example: Example) -> dict[str, Any]:
    """The example for machines."""
    return {
        "number": number,
        **example.prompt.to_json(),
        "gain": example.gain,
        "answers": [{"model": name, **_fields(example.answers[name])} for name in _order(run, example)],
    }


def example_text(run: RunFiles, number: int, example: Example) -> Group:
    """Prompt, reference, teacher, the student before and after, then the rest; each answer with its scores."""
    parts = [_part(f"Example {number}: {visible(example.prompt.id)}", "", example.prompt.text)]
    parts.append(_part("Reference", _reference_score(example), example.prompt.reference or ""))
    for name in _order(run, example):
        role = {"student": ", before", example.subject: ", after"}.get(name, "")
        parts.append(_part(run.label(name) + role, _scores(example.answers[name]), example.answers[name].response))
    return Group(*parts)


def visible(text: str) -> str:
    """Text that a terminal shows and does not obey: control characters are written as escapes."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def _order(run: RunFiles, example: Example) -> Iterator[str]:
    yield from (name for name in (*FIRST, example.subject) if name in example.answers)
    yield from (name for name in run.answers if name in example.answers and name not in (*FIRST, example.subject))


def _part(heading: str, beside: str, text: str) -> Padding:
    head = Text(heading, "bold").append(f"  {beside}" if beside else "", "not bold dim")
    body = Text(visible(text)) if text.strip() else Text("(empty)", "dim")
    return Padding(Group(head, Padding(body, (0, 0, 0, 2), expand=False)), (0, 0, 1, 0), expand=False)


def _reference_score(example: Example) -> str:
    # A scorer may differ in the last digit from one batch to another; that is no disagreement.
    return f"score {min(row.reference_score for row in example.answers.values()):.3g}"


def _scores(row: EvalRow) -> str:
    won = {1: "wins over", 0: "ties with", -1: "loses to"}[
        (row.score > row.reference_score) - (row.score < row.reference_score)
    ]
    words = "word" if row.words == 1 else "words"
    cut = "" if row.finished else ", cut off"
    return f"score {row.score:.3g}, {won} the reference, ROUGE-L {100 * row.rougeL:.1f} %, {row.words} {words}{cut}"


def _fields(row: EvalRow) -> dict[str, Any]:
    return {key: value for key, value in row.to_json().items() if key != "id"}
