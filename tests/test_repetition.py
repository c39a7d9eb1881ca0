"""Runs of words that a text has had before, counted by hand."""

from __future__ import annotations

import pytest

from plad.repetition import repetition


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("the sum", 0.0),  # no run of three words
        ("return the sum of all", 0.0),
        ("a b c a b c", 0.25),  # abc bca cab abc: one of four has come before
        ("no no no no no", 2 / 3),  # three runs, all the same
        ("The SUM of the sum OF", 0.25),  # the sum of, sum of the, of the sum, the sum of
    ],
)
def test_runs_of_three_words_that_came_before(text: str, share: float) -> None:
    assert repetition(text) == pytest.approx(share)
