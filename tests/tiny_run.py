"""A run of every stage that takes seconds: random weights of a few thousand parameters, 90 made-up examples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

COLOURS = ("red", "blue", "old", "new", "fast", "slow", "round", "flat", "warm", "cold")
THINGS = ("box", "cat", "road", "lamp", "tree", "ship", "stone", "wheel", "door")

RECIPE = """\
name: tiny
task:
  source: {type: table, path: DATA}
  splits: {train: 0.4, distill: 0.3, validation: 0.1, test: 0.2, near_duplicates: null}
prompt: {max_prompt_tokens: 64, max_response_tokens: 16}
teacher:
  model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 320}
  sft: {max_steps: 40, batch_size: 4, learning_rate: 1.0e-2}
student:
  model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 320}
  sft: {max_steps: 20, batch_size: 4, learning_rate: 1.0e-2}
sample: {max_new_tokens: 16, batch_size: 4}
distill: {max_steps: 4, batch_size: 4}
evaluate: {judge: {type: rouge}}
"""

TASKS = [
    "prepare/check",
    "prepare",
    "sft/teacher",
    "sft/student",
    "sample/teacher",
    "sample/student",
    "pair",
    "distill/sft",
    "distill/seqkd",
    "distill/plad",
    "evaluate/judge",
    "evaluate/teacher",
    "evaluate/student",
    "evaluate/sft",
    "evaluate/seqkd",
    "evaluate/plad",
    "evaluate/also-length",
    "evaluate/results",
    "evaluate/calibration",
    "report",
]

CHANGING = ("manifest.json", ".lock", ".lock.owner", "scores.sqlite")
"""Files that hold a time, a process or a path, and so differ from run to run."""

REPORTS = {"report.html", "report.md"}
"""They copy the date and the seconds of each task from the manifest."""


def rows() -> list[dict[str, str]]:
    """90 prompts, each with its reference."""
    pairs = product(COLOURS, THINGS)
    return [{"prompt": f"{a} {n} in room {i}", "reference": f"{a} {n}"} for i, (a, n) in enumerate(pairs)]


def write_rows(path: Path, some: list[Any]) -> Path:
    """JSON Lines; what is text already is written as it stands."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in some))
    return path


def write_recipe(folder: Path, text: str = RECIPE, data: Path | None = None) -> Path:
    """recipe.yaml, and beside it the data where none is given."""
    folder.mkdir(parents=True, exist_ok=True)
    data = data or write_rows(folder / "data.jsonl", rows())
    recipe = folder / "recipe.yaml"
    recipe.write_text(text.replace("DATA", str(data)))
    return recipe


class Recorder:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.bars: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def event(self, kind: str, **fields: Any) -> None:
        self.events.append((kind, fields))

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Any]:
        self.bars.append(label)
        yield lambda done, values, total=None: None

    @property
    def worked(self) -> list[str]:
        """The tasks that were run, in order."""
        return [fields["name"] for kind, fields in self.events if kind == "done"]


def outputs(folder: Path) -> dict[str, str]:
    """The hash of every file but those that hold a time or a process."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in CHANGING)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def different(one: Mapping[str, str], two: Mapping[str, str]) -> set[str]:
    """The names under which two listings of hashes differ."""
    return {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}


def differing(one: Path, two: Path) -> set[str]:
    """The files in which two runs differ."""
    return different(outputs(one), outputs(two))


def times(folder: Path) -> dict[str, int]:
    """When each file was written; the lock is taken anew by every process."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock"))
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def finished(folder: Path) -> Mapping[str, Any]:
    """What the manifest says is finished."""
    manifest = folder / "manifest.json"
    return json.loads(manifest.read_text()).get("tasks", {}) if manifest.is_file() else {}


def offline() -> dict[str, str]:
    """An environment in which a hub is never asked."""
    return os.environ | {"HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}


def no_trace(folder: Path, secret: str) -> None:
    """Fail if a secret stands in any file."""
    for file in folder.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
