"""Trackers of a run's trainings: each training by its own name, all in one group, found again when it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from plad.config import Recipe, Training
from plad.runs import fingerprint
from plad.stages.context import Context
from plad.tracking import Tracked, Tracker, open_tracker
from plad.training.checkpoints import last_step
from plad.training.processes import is_main


def tracked_id(context: Context) -> str:
    """Of the training that is under way: of a folder made anew, or of other settings, it is another."""
    # The workspace is named after the task and its fingerprint.
    return fingerprint([context.run.manifest.get("created"), context.workspace.name])[:16]


@contextmanager
def followed(context: Context, name: str, settings: Training) -> Iterator[dict[str, Tracker]]:
    """The trackers that the recipe names for a training, closed when it is over.

    Raises:
        PladError: one of them does not begin.
    """
    if not is_main():
        yield {}
        return
    config = {"recipe": context.recipe.name, "seed": context.recipe.seed, "model": name, **_flat(settings)}
    about = _about(context, tracked_id(context), name, config, last_step(context.workspace))
    with _opened(settings.report_to, about) as trackers:
        yield trackers


def tell_results(context: Context, results: Mapping[str, Any]) -> None:
    """Add what the evaluation came to, to what trackers have of each student's training."""
    for row in results["rows"]:
        name = str(row["name"])
        record = context.run.finished(f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}") or {}
        kept = record.get("summary", {}).get("kept")
        trained = f"{name}@{kept}" if kept else name
        record = (context.run.finished(f"distill/{trained}") if kept else record) or {}
        if (own := record.get("summary", {}).get("tracked")) and (values := _numbers(row)):
            about = _about(context, own, trained, {}, None)
            try:
                with _opened(_report_to(context.recipe, name), about) as trackers:
                    for tracker in trackers.values():
                        tracker.summary(values)
            except Exception as error:
                context.display.say(f"  the results of {name} did not reach every tracker ({type(error).__name__})")


def _report_to(recipe: Recipe, name: str) -> tuple[str, ...]:
    training = getattr(recipe, name).sft if name in ("teacher", "student") else recipe.distill
    return training.report_to if training else ()


@contextmanager
def _opened(names: tuple[str, ...], about: Tracked) -> Iterator[dict[str, Tracker]]:
    trackers: dict[str, Tracker] = {}
    whole = False
    try:
        for name in names:
            trackers[name] = open_tracker(name, about)
        yield trackers
        whole = True
    finally:
        for tracker in trackers.values():
            with suppress(Exception):  # what it had to say was said
                tracker.end(whole)


def _about(context: Context, own: str, name: str, config: Mapping[str, Any], step: int | None) -> Tracked:
    run = context.recipe.name
    return Tracked(own, f"{run} {name}", run, context.run.path("logs"), config, step)


def _flat(settings: Training) -> dict[str, Any]:
    """Settings by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in settings.model_dump(mode="json").items():
        flat |= {f"{key}.{inner}": it for inner, it in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of the results: each estimate, and the ends of its interval."""
    found: dict[str, float] = {}
    for key, estimate in row.items():
        if isinstance(estimate, dict):
            ends = {"": "value", "_low": "low", "_high": "high"}
            found |= {
                f"results/{key}{end}": float(estimate[part])
                for end, part in ends.items()
                if estimate.get(part) is not None
            }
    return found
