"""What a tracker is told of a training, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROJECT = "plad"
"""What trackers file trainings under, where the environment names nothing else."""


@dataclass(frozen=True)
class Tracked:
    """A training, as trackers know it.

    `id` is the same for the same work, so that a tracker goes on where a killed process left it. `step`: 0 where the
    training begins, the step that it goes on from, None where something is added to one that is over.
    """

    id: str
    name: str
    group: str
    folder: Path
    config: Mapping[str, Any]
    step: int | None = 0

    @property
    def own_folder(self) -> Path:
        """Where a tracker that writes files keeps those of this training."""
        return self.folder / self.name.replace("/", "-").replace(" ", "-")


class Tracker(Protocol):
    """Keeps the numbers of one training. It is opened by `Kind(about)`."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers of a step, by names such as `train/loss`."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Numbers of the whole."""

    def end(self, whole: bool) -> None:
        """Close; `whole` says whether the training came to its end."""
