"""Shared answers, empty ones and lengths, counted by hand."""

from __future__ import annotations

import pytest

from plad.errors import PladError
from plad.evaluation.diagnostics import diagnostics


def test_shared_empty_and_lengths() -> None:
    found = diagnostics(["Return it.", "return  it.", "", " ", "one two three four", "a b c a b c"])
    # The two empty texts are the same, and are told as empty alone.
    assert found["shared"]["value"] == pytest.approx(2 / 6)
    assert found["empty"]["value"] == pytest.approx(2 / 6)
    assert found["repetition"]["value"] == pytest.approx(0.25 / 6)
    assert found["shared"]["low"] <= 2 / 6 <= found["shared"]["high"]
    assert found["shared"]["n"] == 6
    # Words 0 0 2 2 4 6: the quantile q is at place 5q from 0.
    assert found["word_quantiles"] == pytest.approx([0.0, 0.5, 2.0, 3.5, 5.5])


def test_no_texts_are_refused() -> None:
    with pytest.raises(PladError, match="one prompt or more"):
        diagnostics([])
