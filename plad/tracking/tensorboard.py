"""TensorBoard: event files in the run folder, a folder a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping

from plad.tracking.base import Tracked


class TensorBoard:
    """`tensorboard --logdir RUN/logs` shows all trainings of a run."""

    def __init__(self, about: Tracked):
        from torch.utils.tensorboard import SummaryWriter

        if about.step == 0:
            shutil.rmtree(about.own_folder, ignore_errors=True)
        # What a killed process logged beyond its last checkpoint comes again, and would be drawn twice.
        purged = about.step + 1 if about.step else None
        self.writer = SummaryWriter(str(about.own_folder), purge_step=purged)
        if about.step == 0:
            config = json.dumps(about.config, indent=2, default=str)
            self.writer.add_text("settings", "\n".join(f"    {line}" for line in config.splitlines()))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """A scalar each."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def summary(self, values: Mapping[str, float]) -> None:
        """Scalars at step 0: TensorBoard knows no other."""
        self.log(values, 0)

    def end(self, whole: bool) -> None:
        """Close the file."""
        self.writer.close()
