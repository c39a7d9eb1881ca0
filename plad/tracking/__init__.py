"""Experiment trackers, by the names that `report_to` has in transformers.

Each follows one training: what is logged while it goes on, and what its evaluation came to.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from plad.errors import PladError
from plad.tracking.base import Tracked, Tracker
from plad.tracking.mlflow import MLflow
from plad.tracking.tensorboard import TensorBoard
from plad.tracking.trackio import Trackio
from plad.tracking.wandb import WeightsAndBiases

TRACKERS: dict[str, Any] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
    "trackio": Trackio,
}


def check_installed(names: Iterable[str]) -> None:
    """Refuse a tracker that cannot be imported, before any work.

    Raises:
        PladError: one of them is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise PladError(
                f"report_to names {name}, but it is not installed. Run `pip install {name}`, or take the name away."
            )


def open_tracker(name: str, about: Tracked) -> Tracker:
    """A tracker, following a training.

    Raises:
        PladError: it does not begin; what it says is not repeated, since it might hold a key or a password.
    """
    try:
        tracker: Tracker = TRACKERS[name](about)
    except Exception as error:
        raise PladError(
            f"{name} does not follow {about.name} ({type(error).__name__}): {REMEDIES[name]}, or take the name out of "
            "report_to."
        ) from error
    return tracker


REMEDIES = {
    "tensorboard": "see that logs/ in the run folder can be written",
    "wandb": "log in with `wandb login`, or set WANDB_MODE=offline",
    "mlflow": "see that MLFLOW_TRACKING_URI names a store that is there",
    "trackio": "see that TRACKIO_DIR can be written",
}

__all__ = ["TRACKERS", "Tracked", "Tracker", "check_installed", "open_tracker"]
