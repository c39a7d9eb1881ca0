"""The cost of one task, and of several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ADDED = ("prompts", "prompt_tokens", "tokens", "flops", "requests", "money", "money_at_most", "kept", "gpu_hours")


@dataclass(frozen=True)
class Line:
    """The cost of one task. `tokens` are those of answers as expected; `money` is what a server takes for them.

    `kept` answers are in the store already: what is told of a server's tokens, requests and money is without them.
    `gpu_hours` are `hours` times all GPUs, of which `idle` have nothing to do; `bound` is what most of the time goes
    to, where that is known.
    """

    task: str
    prompts: int
    prompt_tokens: int
    tokens: int
    flops: float = 0.0
    hours: float | None = None
    requests: int = 0
    money: float = 0.0
    money_at_most: float = 0.0
    kept: int = 0
    gpu_hours: float = 0.0
    idle: int = 0
    bound: str = ""


def total(lines: Iterable[Line]) -> Line:
    """All of them in one."""
    every = list(lines)
    added: dict[str, Any] = {name: sum(getattr(line, name) for line in every) for name in ADDED}
    return Line("in all", hours=sum(line.hours or 0.0 for line in every), **added)


def bottleneck(lines: Iterable[Line]) -> Line | None:
    """The task that takes longest, where any takes time."""
    timed = [line for line in lines if line.hours]
    return max(timed, key=lambda line: line.hours or 0.0) if timed else None
