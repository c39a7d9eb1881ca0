"""`plad report RUN RUN…`: finished runs beside each other, those of one recipe pooled over their seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

from plad.changes import changes
from plad.errors import PladError
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean_over_seeds
from plad.report.read import RunFiles, read_run
from plad.report.several import Group, render_several, title
from plad.runs import Run, write_text
from plad.studies.render import markdown_table
from plad.studies.table1 import collect

OWN = ("name", "seed")
"""What two runs of one recipe may have apart."""


def report_several(folders: Sequence[Path], page: Path) -> tuple[Path, Path, list[dict[str, Any]]]:
    """Write the page, and the same in Markdown beside it; returns both paths and the pooled tables.

    Raises:
        PladError: a folder comes twice, is no run or is not evaluated, or runs of one recipe have other models.
    """
    runs = _read(folders)
    groups = _groups(runs)
    text = [f"# {title(groups)}", *(_markdown(group) for group in groups)]
    write_text(page, render_several(groups, _changes(groups)))
    write_text(page.with_suffix(".md"), "\n\n".join(text) + "\n")
    return page, page.with_suffix(".md"), [{"letter": group.letter, **group.table} for group in groups]


def _read(folders: Sequence[Path]) -> dict[str, tuple[Path, RunFiles]]:
    """The runs by what to call them: the end of their path that tells them apart."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise PladError(
            f"runs are compared with others, but one comes twice in {[str(f) for f in folders]}. Name others."
        )
    runs = [(folder, read_run(folder)) for folder in folders]
    for folder, run in runs:
        if not run.results or not run.results.get("rows"):
            raise PladError(f"runs are compared by their results, but {folder} has none yet. Run: plad run {folder}")
    names = [folder.resolve().name for folder in folders]
    unique = names if len(set(names)) == len(names) else [str(folder) for folder in folders]
    return dict(zip(unique, runs, strict=True))


def _groups(runs: Mapping[str, tuple[Path, RunFiles]]) -> list[Group]:
    """Runs of equal recipes together, in the order in which they were named."""
    found: dict[str, dict[str, tuple[Path, RunFiles]]] = {}
    for name, (folder, run) in runs.items():
        found.setdefault(json.dumps(_settings(run), sort_keys=True, default=str), {})[name] = (folder, run)
    groups: list[Group] = []
    for place, together in enumerate(found.values()):
        files = {name: run for name, (_, run) in together.items()}
        table = collect([Run(folder) for folder, _ in together.values()])
        table = {"seeds": [run.manifest.get("seed") for run in files.values()], **table}
        beside = _beside(files, next(iter(groups), None))
        groups.append(
            Group(_letter(place), str(_recipe(next(iter(files.values()))).get("name", "run")), files, table, **beside)
        )
    return groups


def _letter(place: int) -> str:
    return ascii_uppercase[place] if place < len(ascii_uppercase) else str(place + 1)


def _beside(files: Mapping[str, RunFiles], first: Group | None) -> dict[str, Any]:
    """The paired difference to the first group, or why there is none."""
    if first is None:
        return {}
    ours, theirs = ({run.manifest.get("seed"): run for run in some.values()} for some in (files, first.runs))
    if ours.keys() != theirs.keys() or len(ours) < len(files) or len(theirs) < len(first.runs):
        return {"apart": "they have other seeds"}
    pairs = [(ours[seed], theirs[seed]) for seed in ours]
    if any([p.id for p in a.prompts] != [p.id for p in b.prompts] for a, b in pairs):
        return {"apart": "their test prompts differ"}
    if any(_judge(a) != _judge(b) for a, b in pairs):
        return {"apart": "their judges differ"}
    ahead = mean_over_seeds([_outcomes(a) - _outcomes(b) for a, b in pairs])
    return {"ahead": ahead.to_json()}


def _outcomes(run: RunFiles) -> Any:
    """The subject's over the initial student, in the order of the prompts."""
    rows, before = ([run.answers[name][prompt.id] for prompt in run.prompts] for name in (run.subject, "student"))
    return outcomes_against(rows, before)


def _judge(run: RunFiles) -> dict[str, Any]:
    """What tells a judge from another: its name, what it is, and how often it is right, to the last digit."""
    scorer = (run.results or {}).get("scorer", {})
    return {key: scorer.get(key) for key in ("name", "description", "accuracy")}


def _changes(groups: Sequence[Group]) -> dict[str, list[str]]:
    """Each setting in which the groups differ, and what each has of it."""
    settings = [_settings(next(iter(group.runs.values()))) for group in groups]
    keys = dict.fromkeys(key for other in settings[1:] for key, _, _ in changes(settings[0], other))
    return {key: [_written(_at(own, key)) for own in settings] for key in keys}


def _at(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _settings(run: RunFiles) -> dict[str, Any]:
    return {key: value for key, value in _recipe(run).items() if key not in OWN}


def _recipe(run: RunFiles) -> dict[str, Any]:
    found = yaml.safe_load(run.recipe)
    return found if isinstance(found, dict) else {}


def _markdown(group: Group) -> str:
    return f"## {group.letter}: {group.name}\n\n**{group.verdict}**\n\n{markdown_table(group.table)}"
