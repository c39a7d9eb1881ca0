"""Phrases of the source in an answer, found by hand, and a page that no answer can break."""

from __future__ import annotations

import pytest

from plad.report.case import Answer, Case, Piece, marked, render_cases
from plad.report.figure import Series, figure_chart, standalone

HOSTILE = '<script>alert("x")</script> & </td>'


def shared(text: str, source: str) -> list[str]:
    return [piece.text for piece in marked(text, source)[0] if piece.shared]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("He saw the Quick, brown fox run.", ["the Quick, brown fox"]),
        ("the quick cat, brown fox", []),  # two words are no phrase
        ("jumps over the dog and the quick brown cat", ["jumps over the dog", "the quick brown"]),
        ("", []),
        ("fox jumps over", ["fox jumps over"]),
    ],
)
def test_phrases_of_three_words_or_more(text: str, phrases: list[str]) -> None:
    source = "The quick brown fox jumps over the dog"
    assert shared(text, source) == phrases
    pieces, words, inside = marked(text, source)
    assert "".join(piece.text for piece in pieces) == text
    assert words == len(text.split())
    assert inside == sum(len(phrase.split()) for phrase in phrases)


def test_nothing_of_a_model_is_markup() -> None:
    answer = Answer(HOSTILE, "plad", (Piece(HOSTILE, True), Piece(HOSTILE, False)), 2, 1)
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 4}
    chart = figure_chart("chart-x", "Title", "x", [Series(HOSTILE, "plad", (("all", estimate),))])
    page = render_cases("Cases", "Note.", [Case(HOSTILE, HOSTILE, (answer,))], chart, HOSTILE)
    assert page.count("<script>") == 1  # that of the themes
    assert "<script>alert" not in page
    assert "<mark>&lt;script&gt;" in page
    assert "<script" not in standalone(chart)
