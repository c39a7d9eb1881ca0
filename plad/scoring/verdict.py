"""What a judge said of two answers, asked in both orders (Zheng et al. 2023, arXiv 2306.05685, on position bias)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plad.records import Record
from plad.scoring.accuracy import wilson

TIE = 0.5

_VERDICT = re.compile(r"verdict\W*\b(a|b|tie)\b", re.IGNORECASE)
_ALONE = re.compile(r"\W*(a|b|tie)\W*", re.IGNORECASE)
_SHARES = {"a": 1.0, "b": 0.0, "tie": TIE}


@dataclass(frozen=True)
class Verdict(Record):
    """One comparison of answer a with answer b.

    Attributes:
        outcome: 1 where a is better, 0 where b is, ½ for a tie.
        consistent: whether both orders came to the same; where they did not, the outcome is a tie.
        readable: whether both replies held a verdict; one that holds none counts as a tie.
        replies: the raw replies, to a before b and to b before a; none where there was nothing to ask.
    """

    id: str
    outcome: float
    consistent: bool = True
    readable: bool = True
    replies: tuple[str, ...] = ()


def read_reply(reply: str) -> float | None:
    """1 for A, 0 for B, ½ for a tie: the last `Verdict: …` of a reply, or its only word. None where there is none."""
    found = _VERDICT.findall(reply)
    alone = _ALONE.fullmatch(reply)
    word = found[-1] if found else alone[1] if alone else None
    return _SHARES[word.lower()] if word else None


def settle(name: str, forward: str, backward: str) -> Verdict:
    """The verdict of two replies: `forward` to a before b, `backward` to b before a.

    Args:
        name: id of the prompt.
    """
    one, two = read_reply(forward), read_reply(backward)
    first = TIE if one is None else one
    second = TIE if two is None else 1 - two
    same = first == second
    return Verdict(name, first if same else TIE, same, None not in (one, two), (forward, backward))


def doubts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Of how many comparisons a judge was asked, in how many the order decided, and in how many it gave no verdict."""
    asked = [verdict for verdict in verdicts if verdict.replies]
    return {
        "asked": len(asked),
        "inconsistent": sum(not verdict.consistent for verdict in asked),
        "unreadable": sum(not verdict.readable for verdict in asked),
    }


def doubt_shares(counts: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """The shares of all `counts` of `doubts` together, each with its 95 % interval; none if nothing was asked."""
    asked = sum(count["asked"] for count in counts)
    names = ("inconsistent", "unreadable")
    return {name: wilson(sum(count[name] for count in counts), asked) for name in names} if asked else {}
