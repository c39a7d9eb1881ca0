"""What a training logs, told to trackers. A tracker that fails costs its curve, never the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plad.tracking import Tracker

CLOCK = ("runtime", "per_second", "total_flos")
"""How names of what a clock measured end, which differs between equal runs."""


def following(trackers: Mapping[str, Tracker], warn: Callable[[str], None] | None) -> Any:
    """A callback of the Trainer that tells trackers what is logged."""
    from transformers import TrainerCallback

    class Following(TrainerCallback):
        def __init__(self) -> None:
            self.left = dict(trackers)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero or not (values := _named(logs or {})):
                return
            for name, tracker in list(self.left.items()):
                try:
                    tracker.log(values, state.global_step)
                except Exception as error:  # of any library, and of a network
                    del self.left[name]
                    if warn:
                        warn(f"{name} failed ({type(error).__name__}) and follows this training no more.")

    return Following()


def _named(logs: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by the names that transformers gives them: `train/loss`, `eval/loss`; without what a clock measured."""
    values = {key: float(value) for key, value in logs.items() if isinstance(value, int | float)}
    return {
        f"eval/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}": value
        for key, value in values.items()
        if not key.endswith(CLOCK)
    }
