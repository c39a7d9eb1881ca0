"""MLflow: a run a training in the experiment `plad`, found again by a tag. Its own environment variables hold."""

from __future__ import annotations

import os
from collections.abc import Mapping

from plad.tracking.base import PROJECT, Tracked

TAG = "plad.id"
LONGEST = 500
"""Characters of a parameter that every store takes."""


class MLflow:
    """Talks through a client of its own, so that a run that the user's program has open stays as it is."""

    def __init__(self, about: Tracked):
        from mlflow import MlflowClient

        self.client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self.client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self.client.create_experiment(name)
        found = self.client.search_runs([experiment], f"tags.`{TAG}` = '{about.id}'", max_results=1)
        if found:
            self.run_id = found[0].info.run_id
            self.client.update_run(self.run_id, status="RUNNING")
            return
        tags = {TAG: about.id, "plad.run": about.group}
        self.run_id = self.client.create_run(experiment, run_name=about.name, tags=tags).info.run_id
        for key, value in about.config.items():
            self.client.log_param(self.run_id, key, str(value)[:LONGEST])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """A metric each."""
        for name, value in values.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def summary(self, values: Mapping[str, float]) -> None:
        """Metrics at step 0: MLflow knows no other."""
        self.log(values, 0)

    def end(self, whole: bool) -> None:
        """Set the status."""
        self.client.set_terminated(self.run_id, "FINISHED" if whole else "KILLED")
