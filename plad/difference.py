"""Two runs beside each other: their recipes, what they ran with, and their results on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plad.changes import changes
from plad.errors import PladError
from plad.evaluation.paired import versus
from plad.evaluation.statistics import paired_difference, wins
from plad.records import EvalRow
from plad.report.read import RunFiles, read_run

Change = tuple[str, Any, Any]


@dataclass(frozen=True)
class Difference:
    """What differs between two runs, A and B.

    `models` has a row for each model of either: `name`, `a` and `b` (its row of the results, or None), `difference`
    of its win rates over the references, B's minus A's, paired by prompt, and `versus`, B's answers against A's by the
    judge that both have. Where they are None, `apart` says why.
    """

    recipe: Sequence[Change]
    versions: Sequence[Change]
    models: Sequence[Mapping[str, Any]]
    apart: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """As one object for machines."""
        named = {"recipe": self.recipe, "versions": self.versions}
        told = {key: [{"key": k, "a": a, "b": b} for k, a, b in found] for key, found in named.items()}
        return {**told, "models": list(self.models), "apart": list(self.apart)}


def difference(a: Path, b: Path) -> Difference:
    """Compare two run folders by their files.

    Raises:
        PladError: one of them is no run folder, both are the same, or a file is damaged.
    """
    if a.resolve() == b.resolve():
        raise PladError(f"two runs differ, but both of these are {a.resolve()}. Name another one.")
    one, two = read_run(a), read_run(b)
    recipes = [_parsed(run) for run in (one, two)]
    same_prompts = [p.id for p in one.prompts] == [p.id for p in two.prompts] and bool(one.prompts)
    same_judge = _judge(one, recipes[0]) == _judge(two, recipes[1])
    return Difference(
        recipe=list(changes(*recipes)),
        versions=list(changes(one.manifest.get("versions", {}), two.manifest.get("versions", {}))),
        models=[_model(one, two, name, same_prompts, same_judge) for name in _names(one, two)],
        apart=_apart(same_prompts, same_judge) if one.answers and two.answers else (),
    )


def _parsed(run: RunFiles) -> Any:
    return yaml.safe_load(run.recipe)


def _judge(run: RunFiles, recipe: Any) -> Any:
    """What two runs that have the same judge have alike: its settings and, where the run trains it, what it learnt."""
    settings = recipe.get("evaluate", {}).get("judge") if isinstance(recipe, Mapping) else None
    record = run.manifest.get("tasks", {}).get("evaluate/judge") or {}
    learnt = (record.get("summary") or {}).get("accuracy") is not None
    return settings, record.get("fingerprint") if learnt else None


def _apart(same_prompts: bool, same_judge: bool) -> list[str]:
    told = [] if same_prompts else ["Their test prompts differ, so that their numbers are of different prompts."]
    if not same_judge:
        told.append("Their judges differ, so that a win in one is not a win in the other.")
    return told


def _names(one: RunFiles, two: RunFiles) -> list[str]:
    return list(dict.fromkeys(str(row["name"]) for run in (one, two) for row in (run.results or {}).get("rows", ())))


def _model(one: RunFiles, two: RunFiles, name: str, same_prompts: bool, same_judge: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "label": next(r for r in (two, one) if name in r.answers).label(name)}
    found |= {"a": _row(one, name), "b": _row(two, name), "difference": None, "versus": None}
    if same_prompts and found["a"] and found["b"]:
        ours, theirs = ([run.answers[name][p.id] for p in run.prompts] for run in (one, two))
        found["difference"] = paired_difference(_won(theirs), _won(ours)).to_json()
        if same_judge:
            found["versus"] = versus(wins([row.score for row in theirs], [row.score for row in ours]))
    return found


def _row(run: RunFiles, name: str) -> Mapping[str, Any] | None:
    return next((row for row in (run.results or {}).get("rows", ()) if row["name"] == name), None)


def _won(rows: Sequence[EvalRow]) -> list[float]:
    return [float(won) for won in wins([row.score for row in rows], [row.reference_score for row in rows])]
