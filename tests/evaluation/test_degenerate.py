"""Sentences on outputs that repeat, dwindle or do not end; the shares are counted by hand."""

from __future__ import annotations

import pytest

from plad.evaluation.degenerate import degeneration, repeated
from plad.records import EvalRow, Prompt

PROMPTS = [Prompt(str(n), f"prompt {n}", reference="one two three four five six seven eight") for n in range(10)]
PLAIN = "one two three four five six seven eight"
ROUND = "a b c d a b c d"  # of five phrases of four words the last stands there twice


def rows(*texts: str, finished: bool = True) -> list[EvalRow]:
    """Ten rows, the texts in turns."""
    chosen = [texts[n % len(texts)] for n in range(10)]
    return [
        EvalRow(str(n), text, 0.0, 0.0, 0.0, 0.0, 0.0, len(text.split()), finished) for n, text in enumerate(chosen)
    ]


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), ("one two three", 0.0), (PLAIN, 0.0), (ROUND, 0.2), ("x " * 11, 7 / 8), ("a\nb  c d", 0.0)],
)
def test_the_share_of_phrases_that_were_there_before(text: str, share: float) -> None:
    assert repeated(text) == pytest.approx(share)


def test_sound_outputs_need_no_words() -> None:
    assert degeneration("PLaD", rows(PLAIN), rows(PLAIN), PROMPTS) == []
    assert degeneration("PLaD", rows("x " * 11), rows("x " * 11), PROMPTS) == [], "the initial student's own habit"


def test_repetition() -> None:
    [told] = degeneration("PLaD", rows("x " * 11), rows(PLAIN), PROMPTS)
    assert told.startswith("PLaD repeats itself: 88 % of its phrases of 4 words stood in the answer before (0 % with")


def test_answers_that_dwindle_below_half_of_both() -> None:
    [told] = degeneration("PLaD", rows("one two three"), rows(PLAIN), PROMPTS)
    assert told.startswith(
        "PLaD hardly answers any more: 3.0 words on average and 0 % empty answers, against 8.0 words"
    )
    assert degeneration("PLaD", rows("one two three four"), rows(PLAIN), PROMPTS) == [], "half is not less than half"
    assert degeneration("PLaD", rows(PLAIN), rows(" ".join([PLAIN, "nine"] * 9)), PROMPTS) == [], "as short as people"


def test_empty_answers() -> None:
    [told] = degeneration("PLaD", rows(" ", PLAIN, PLAIN, PLAIN, PLAIN), rows(PLAIN), PROMPTS)
    assert "20 % empty answers" in told


def test_answers_without_an_end() -> None:
    [told] = degeneration("PLaD", rows(PLAIN, finished=False), rows(PLAIN), PROMPTS)
    assert told.startswith("PLaD no longer ends its answers: 100 % were cut off at the limit (0 % with the initial")
    cut = rows(PLAIN, finished=False)
    assert degeneration("PLaD", cut, cut, PROMPTS) == []
