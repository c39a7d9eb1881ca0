"""Answers of several models side by side, with what they take over from their source marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from plad.report.charts import Chart
from plad.report.pages import render_page

RUN = 3
"""Words in a row, at the fewest, that make a phrase; two are too often the language's own."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Piece:
    """A stretch of a text; `shared` tells whether the source has it too."""

    text: str
    shared: bool


@dataclass(frozen=True)
class Answer:
    """What one model answered; `words` and `shared` count all of its words, and those within phrases of the source."""

    label: str
    hue: str
    pieces: tuple[Piece, ...]
    words: int
    shared: int


@dataclass(frozen=True)
class Case:
    """One prompt, the reference, and the answers of the models."""

    identity: str
    source: str
    answers: tuple[Answer, ...]


def marked(text: str, source: str) -> tuple[tuple[Piece, ...], int, int]:
    """A text cut at the ends of the phrases that its source has too, whatever their case; its words, and those in them.

    A phrase is a run of RUN words or more, with what stands between them in the text.
    """
    words = list(_WORD.finditer(text))
    given = [word.lower() for word in _WORD.findall(source)]
    runs = {tuple(given[start : start + RUN]) for start in range(len(given) - RUN + 1)}
    told = [word.group().lower() for word in words]
    shared: set[int] = set()
    for start in range(len(told) - RUN + 1):
        if tuple(told[start : start + RUN]) in runs:
            shared |= set(range(start, start + RUN))
    pieces: list[Piece] = []
    done = 0
    for first, last in _stretches(sorted(shared)):
        begin, end = words[first].start(), words[last].end()
        pieces += [Piece(text[done:begin], False)] if begin > done else []
        pieces.append(Piece(text[begin:end], True))
        done = end
    pieces += [Piece(text[done:], False)] if done < len(text) else []
    return tuple(pieces), len(words), len(shared)


def render_cases(title: str, note: str, cases: Sequence[Case], chart: Chart, recipe: str) -> str:
    """The whole page; all that models and data say is text on it."""
    return render_page("case.html.j2", title=title, note=note, cases=cases, chart=chart, recipe=recipe)


def _stretches(places: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of numbers that follow one another."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place - 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found
