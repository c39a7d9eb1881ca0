"""trackio: local by default, a run a training. Its own variables of the environment hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from plad.tracking.base import PROJECT, Tracked


class Trackio:
    """Runs are known by their names, so that a name ends with the beginning of the id."""

    def __init__(self, about: Tracked):
        import trackio

        with redirect_stdout(StringIO()):  # it greets, in the middle of our display
            self.run: Any = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=f"{about.name} {about.id[:6]}",
                group=about.group,
                config=dict(about.config),
                resume="allow",
            )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One row."""
        self.run.log(dict(values), step=step)

    def summary(self, values: Mapping[str, float]) -> None:
        """One more row: trackio knows no summary."""
        self.run.log(dict(values))

    def end(self, whole: bool) -> None:
        """Write what is left, and close."""
        with redirect_stdout(StringIO()):
            self.run.finish()
