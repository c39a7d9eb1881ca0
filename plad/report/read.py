"""Everything the report needs from a run folder. What a run hasn't made yet is empty or None.

Prompts, pairs and answers are read where they are asked for: however many there are, a page shows few.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from plad.errors import PladError
from plad.records import EvalRow, PreferencePair, Prompt, read_records

# What a run has before its evaluation names and orders its models. The student that it is about comes last.
MODELS = ("teacher", "student", "sft", "seqkd")
SUBJECT = "plad"
LABELS = {
    "teacher": "Teacher (SFT)",
    "student": "Initial student",
    "sft": "Continued SFT",
    "seqkd": "SeqKD",
    "plad": "PLaD",
}

HUES = ("other", "other-2", "other-3", "other-4", "other-5")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class RunFiles:
    """The content of a run folder."""

    recipe: str
    manifest: Json
    data: Json | None
    pair_counts: Json | None
    pairs: Sequence[PreferencePair]
    histories: Mapping[str, tuple[Json, ...]]
    prompts: Sequence[Prompt]
    answers: Mapping[str, Mapping[str, EvalRow]]
    results: Json | None
    calibration: Json | None = None
    rounds: Json | None = None
    guards: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The student that the run is about."""
        return str((self.results or {}).get("subject", SUBJECT))

    def hue(self, name: str) -> str:
        """The colour of a model, by its part in the run: methods share colours only where there are many."""
        return hue_of(name, self.subject, {*self.answers, *self.histories})

    def label(self, name: str) -> str:
        """What to call a model: the evaluation's own label where it gives one."""
        rows = self.results.get("rows", ()) if self.results else ()
        own = {str(row["name"]): str(row["label"]) for row in rows if row.get("label")}
        trained, _, number = name.partition("@")
        label = own.get(trained, LABELS.get(trained, trained))
        return f"{label}, round {number}" if number else label


def hue_of(name: str, subject: str, names: Iterable[str]) -> str:
    """The colour of one of the models named."""
    if name == subject:
        return SUBJECT
    if name in MODELS:
        return name
    others = sorted({*names} - {*MODELS, subject})
    return HUES[others.index(name) % len(HUES)] if name in others else HUES[0]


def read_run(run: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        PladError: there is no recipe, or a file is damaged; of one that is read later, then.
    """
    recipe = run / "recipe.yaml"
    if not recipe.is_file():
        raise PladError(f"a report needs a run folder, but {run} has no recipe.yaml. Name the folder of a run.")
    results = _json(run / "evaluation" / "results.json")
    manifest = _json(run / "manifest.json") or {}
    order = [str(row["name"]) for row in (results or {}).get("rows", ())] or [*MODELS, SUBJECT]
    return RunFiles(
        recipe=recipe.read_text(encoding="utf-8"),
        manifest=manifest,
        data=_json(run / "data" / "summary.json"),
        pair_counts=_json(run / "pairs.json"),
        pairs=_records(run / "pairs.jsonl", PreferencePair),
        histories=_histories(run, manifest, order),
        guards=_histories(run, manifest, order, "guard.jsonl"),
        prompts=_records(run / "data" / f"{(results or {}).get('split', 'test')}.jsonl", Prompt),
        answers=_answers(run / "evaluation", order),
        results=results,
        calibration=_json(run / "evaluation" / "calibration.json"),
        rounds=_rounds(run / "rounds.json", manifest),
    )


def _json(path: Path) -> Json | None:
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PladError(f"{path} is not JSON: {error}. Delete it and run its stage again.") from None
    if not isinstance(value, dict):
        raise PladError(f"{path} holds {type(value).__name__}, not an object. Delete it and run its stage again.")
    return value


def _rounds(path: Path, manifest: Json) -> Json | None:
    """The rounds that the student came of; a file left by a recipe that had some is not this run's."""
    found = _json(path) or {}
    record = manifest.get("tasks", {}).get(f"distill/{found.get('method')}") or {}
    return found if "kept" in (record.get("summary") or {}) else None


def _records(path: Path, kind: type[Any]) -> Sequence[Any]:
    return read_records(path, kind) if path.is_file() else ()


def _answers(folder: Path, order: Sequence[str]) -> dict[str, Mapping[str, EvalRow]]:
    files = {path.stem: path for path in folder.glob("*.jsonl")}
    return {name: ById(files[name]) for name in _in_order(files, order)}


class ById(Mapping[str, EvalRow]):
    """A model's answers by the ids of their prompts. Of each, 16 bytes are in memory."""

    def __init__(self, path: Path):
        self._rows = read_records(path, EvalRow)
        hashes = np.fromiter((hash(row.id) for row in self._rows), np.int64, len(self._rows))
        self._places = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._places]

    def __getitem__(self, name: str) -> EvalRow:
        first, end = (int(np.searchsorted(self._hashes, hash(name), side=side)) for side in ("left", "right"))
        for place in reversed(self._places[first:end].tolist()):  # the last of an id counts
            if (row := self._rows[place]).id == name:
                return row
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (row.id for row in self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _histories(
    run: Path, manifest: Json, order: Sequence[str], file: str = "history.jsonl"
) -> dict[str, tuple[Json, ...]]:
    # Hidden is a model that is being put in its place.
    files = {path.parent.name: path for path in run.glob(f"models/[!.]*/{file}")}
    # Of the training that is under way; older work that was given up is nobody's.
    doing = str((manifest.get("doing") or {}).get("task", ""))
    work = run.glob(f".work/{doing.replace('/', '-')}-????????????/{file}") if doing else ()
    files |= {doing.split("/")[-1]: path for path in work}
    return {name: rows for name in _in_order(files, order) if (rows := _log_lines(files[name]))}


def _log_lines(path: Path) -> tuple[Json, ...]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            # A training that is under way, or was killed, may end in half a line.
            if number < len(lines):
                raise PladError(f"{path}, line {number}: {error}") from None
    return tuple(row for row in rows if isinstance(row, dict))


def _in_order(names: Mapping[str, Path], order: Sequence[str]) -> list[str]:
    rank = {name: place for place, name in enumerate(order)}
    return sorted(names, key=lambda name: (rank.get(name, len(order)), name))
