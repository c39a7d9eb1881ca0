"""Weights & Biases: a run a training, those of a plad run in one group. Its own variables of the environment hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from plad.tracking.base import PROJECT, Tracked


class WeightsAndBiases:
    """Goes on with the run of the same id, where it is online; offline, `wandb sync` joins the parts by their id."""

    def __init__(self, about: Tracked):
        import wandb

        about.folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=about.id,
            name=about.name,
            group=about.group,
            config=dict(about.config),
            dir=str(about.folder),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One row of its history."""
        self.run.log(dict(values), step=step)

    def summary(self, values: Mapping[str, float]) -> None:
        """Its summary."""
        self.run.summary.update(dict(values))

    def end(self, whole: bool) -> None:
        """Finish the run; an exit code other than 0 marks it as crashed."""
        self.run.finish(exit_code=0 if whole else 1)
