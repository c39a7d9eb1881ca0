"""A guard against collapse: how a student in training answers a fixed set of prompts, and when that is no longer well.

Preference training fails in known ways: the likelihood of the preferred answers falls with that of the others, answers
grow or shrink, repeat themselves, or never end. Each is measured against the start, in greedy answers to few prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from pydantic import Field

from plad.repetition import repetition
from plad.spec import Spec
from plad.training.layout import Example
from plad.training.score import response_logps

Answers = Sequence[tuple[str, bool]]
"""Texts, and whether the student ended each."""


@dataclass(frozen=True)
class Vitals:
    """What was seen at one step: means over the probe, and the validation win rate where a judge looked too."""

    step: int
    chosen_logp: float
    words: float
    repetition: float
    ended: float
    win_rate: float | None = None


@dataclass(frozen=True)
class Probe:
    """What a student is asked.

    Args:
        chosen: prompts, each with the preferred answer.
        answers: the student's greedy answers to the same prompts, as it is now.
        held_out: its greedy answers to the validation split; None where nobody asks.
        judge: the win rate of these.
    """

    chosen: Sequence[Example]
    answers: Callable[[], Answers]
    held_out: Callable[[], Answers] | None = None
    judge: Callable[[Answers], float] | None = None


class Guard(Spec):
    """Looks at the student every so many steps, and tells, or acts, where it departs too far from the start."""

    every: int = Field(50, ge=1, description="optimiser steps between two looks; the last step is looked at too")
    prompts: int = Field(64, ge=1, description="that are asked, of the pairs' own")
    fall: float = Field(0.5, gt=0, description="nats a token that the preferred answers may lose of their likelihood")
    length: float = Field(2.0, gt=1, description="how many times as long, or as short, answers may become")
    repetition: float = Field(0.2, gt=0, le=1, description="by how much the share of repeated runs of words may rise")
    ending: float = Field(0.2, gt=0, le=1, description="by how much the share of answers that end may fall")
    action: Literal["tell", "stop", "lower", "anchor"] = Field(
        "tell",
        description="stop training, halve the learning rate, or double λ, the anchor of the loss (from 0 to 0.1)",
    )

    def signs(self, now: Vitals, start: Vitals) -> list[str]:
        """What has gone too far, in words; none where all is well."""
        fell = start.chosen_logp - now.chosen_logp
        times = max(now.words, 1.0) / max(start.words, 1.0)
        repeats, ends = (f"{100 * one:.0f} to {100 * two:.0f} %" for one, two in _shares(start, now))
        tried = {
            f"the preferred answers lost {fell:.2f} nats a token of their likelihood": fell > self.fall,
            f"answers are {times:.1f} times as long as at the start": times > self.length,
            f"answers are {1 / times:.1f} times as short as at the start": 1 / times > self.length,
            f"repetition rose from {repeats}": now.repetition - start.repetition > self.repetition,
            f"the share of answers that end fell from {ends}": start.ended - now.ended > self.ending,
        }
        return [sign for sign, holds in tried.items() if holds]


def look(
    model: Any, pad_id: int, probe: Probe, step: int, computing: AbstractContextManager[Any] | None = None
) -> Vitals:
    """The student as it is, without dropout; it is left in the mode it was in.

    Args:
        computing: what the student computes within, such as the training's autocast; the judge does not.
    """
    was_training = model.training
    model.eval()
    with computing or nullcontext():
        logps = [row[0] for row in response_logps(model, pad_id, probe.chosen)]
        answers = probe.answers()
        held_out = probe.held_out() if probe.held_out else None
    rate = probe.judge(held_out) if probe.judge and held_out is not None else None
    model.train(was_training)
    return Vitals(
        step,
        fmean(logps),
        fmean(len(text.split()) for text, _ in answers),
        fmean(repetition(text) for text, _ in answers),
        fmean(ended for _, ended in answers),
        rate,
    )


def _shares(start: Vitals, now: Vitals) -> tuple[tuple[float, float], tuple[float, float]]:
    return (start.repetition, now.repetition), (start.ended, now.ended)
