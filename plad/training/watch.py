"""What a training's own curve tells of its going wrong, in words, with what to try.

Rules of thumb, not tests: each compares the curve with itself, so that it needs to know no loss. Of a short curve
nothing is said but of numbers that are none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

Entry = Mapping[str, float]
FEWEST = 15
"""Logged steps before a curve has a beginning and an end, a fifth of it each."""
WINDOW = 10
"""Logged steps that a loss is compared with."""
NATS = 0.5
"""The least change of a loss or of a log-likelihood that is worth a sentence."""


def concerns(history: Sequence[Entry]) -> dict[str, str]:
    """A sentence for each thing that looks wrong, by a word for it.

    Args:
        history: the logged steps, as `history.jsonl` has them; those of validation are passed over.
    """
    steps = [entry for entry in history if "loss" in entry]
    told = {name: rule(steps) for name, rule in RULES.items()}
    return {name: sentence for name, sentence in told.items() if sentence}


def _no_number(steps: Sequence[Entry]) -> str | None:
    for entry in steps:
        for name, value in entry.items():
            if not math.isfinite(value):
                return (
                    f"at step {entry.get('step', 0):g} {name} was {value}. Try a lower learning_rate or a longer "
                    "warmup; in bf16, try fp32."
                )
    return None


def _spikes(steps: Sequence[Entry]) -> str | None:
    """Losses at more than 1½ times, and six deviations above, the median of the ten before (Hampel's identifier)."""
    losses = _finite(steps, "loss")
    jumps = []
    for place in range(WINDOW, len(losses)):
        before = losses[place - WINDOW : place]
        usual = median(before)
        spread = 1.4826 * median(abs(value - usual) for value in before)
        if losses[place] > max(usual + 6 * spread, 1.5 * usual, usual + NATS):
            jumps.append((place, usual))
    if not jumps:
        return None
    place, usual = jumps[0]
    more = f" ({len(jumps)} times in all)" if len(jumps) > 1 else ""
    return (
        f"the loss jumped at step {steps[place].get('step', 0):g} from about {usual:.3g} to {losses[place]:.3g}{more}. "
        "Try a lower learning_rate, a longer warmup, a lower max_grad_norm or a larger batch_size, and look for odd "
        "examples in the data."
    )


def _rising(steps: Sequence[Entry]) -> str | None:
    ends = _ends(steps, "loss")
    if ends is None or ends[1] < max(1.25 * ends[0], ends[0] + NATS):
        return None
    return f"the loss rose from {ends[0]:.3g} to {ends[1]:.3g}. Try a lower learning_rate or a longer warmup."


def _exploding(steps: Sequence[Entry]) -> str | None:
    """A margin that grew by more than twice what the rejected answers' log-likelihood was at the beginning."""
    margin, rejected = _ends(steps, "margin"), _ends(steps, "rejected_logp")
    if margin is None or rejected is None or margin[1] - margin[0] <= max(2 * abs(rejected[0]), NATS):
        return None
    return (
        f"the margin between preferred and rejected answers went from {margin[0]:.3g} to {margin[1]:.3g}, far beyond "
        "what the text calls for: the student unlearns the rejected answers. Try a lower learning_rate, fewer epochs, "
        "or a smaller margin (β) of the loss."
    )


def _unlearnt(steps: Sequence[Entry]) -> str | None:
    chosen = _ends(steps, "chosen_logp")
    if chosen is None or chosen[0] - chosen[1] <= max(abs(chosen[0]) / 4, NATS):
        return None
    return (
        f"the preferred answers became less likely too: their log-likelihood fell from {chosen[0]:.3g} to "
        f"{chosen[1]:.3g}. Try distill.loss.anchor (3 is recommended), a lower learning_rate or fewer epochs."
    )


def _length(steps: Sequence[Entry]) -> str | None:
    """Of losses that sample while they train."""
    length = _ends(steps, "length")
    if length is None or not length[0] or 0.5 < length[1] / length[0] < 2:
        return None
    how = "longer" if length[1] > length[0] else "shorter"
    return (
        f"the student's samples became ever {how}, from {length[0]:.3g} to {length[1]:.3g} tokens. Try a lower "
        "learning_rate, or more weight on people's text where the loss has such a term."
    )


RULES: dict[str, Callable[[Sequence[Entry]], str | None]] = {
    "no number": _no_number,
    "spikes": _spikes,
    "rising loss": _rising,
    "exploding margin": _exploding,
    "unlearnt": _unlearnt,
    "length": _length,
}


def _finite(steps: Sequence[Entry], name: str) -> list[float]:
    return [entry[name] for entry in steps if name in entry and math.isfinite(entry[name])]


def _ends(steps: Sequence[Entry], name: str) -> tuple[float, float] | None:
    """The medians of the first and the last fifth."""
    values = _finite(steps, name)
    if len(values) < FEWEST:
        return None
    fifth = len(values) // 5
    return median(values[:fifth]), median(values[-fifth:])
