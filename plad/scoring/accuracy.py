"""How often a scorer puts the better response first, per kind of pair, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plad.records import PreferencePair
from plad.scoring.length import word_count

LENGTH_CONTROL = "length control"
Z_95 = 1.959963984540054


def wilson(successes: float, n: int) -> dict[str, Any]:
    """A share with its 95 % interval (Wilson 1927). A tie counts as half a success."""
    share, z2 = successes / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    return {"value": share, "low": max(0.0, middle - half), "high": min(1.0, middle + half), "n": n}


def accuracy_by_kind(pairs: Sequence[PreferencePair], margins: Sequence[float]) -> list[dict[str, Any]]:
    """One `{"kind", "value", "low", "high", "n"}` a kind, in the order in which the kinds appear.

    `margins`: score of the chosen minus score of the rejected, one a pair.
    """
    groups: dict[str, list[float]] = {}
    for pair, margin in zip(pairs, margins, strict=True):
        groups.setdefault(kind_of(pair), []).append(margin)
    return [{"kind": kind, **wilson(_wins(group), len(group))} for kind, group in groups.items()]


def length_control(training: Sequence[PreferencePair], held_out: Sequence[PreferencePair]) -> dict[str, Any]:
    """The accuracy of a rule that only counts words, longer or shorter as fits the training pairs better."""
    trained = _length_margins(training)
    sign = 1.0 if _wins(trained) >= len(trained) / 2 else -1.0
    wins = _wins([sign * margin for margin in _length_margins(held_out)])
    return {"kind": LENGTH_CONTROL, **wilson(wins, len(held_out))}


def kind_of(pair: PreferencePair) -> str:
    """How the rejected response was made, as far as the pair knows."""
    return str(getattr(pair, "kind", "pair"))


def _length_margins(pairs: Sequence[PreferencePair]) -> list[float]:
    return [float(word_count(pair.chosen) - word_count(pair.rejected)) for pair in pairs]


def _wins(margins: Sequence[float]) -> float:
    return sum((margin > 0) + 0.5 * (margin == 0) for margin in margins)
