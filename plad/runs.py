"""The run folder: fixed names, whole files or none, and a record of what made each of them.

recipe.yaml              the recipe, every default written out
manifest.json            versions, seed, plan, each finished task with its fingerprint, time and summary, and the task
                         that is under way, or how it ended without a result
data/                    train, distill, validation, test .jsonl (Prompt) and summary.json
models/NAME/             a model folder that transformers loads, and history.jsonl, its training curve
generations/NAME.jsonl   what a model answered on the distillation half (Generation)
logits/TEXT/             what the teacher says along the text that white-box methods learn from, where it is kept
pairs.jsonl, pairs.json  the preference pairs and how many were dropped, by reason
rounds/K/, rounds.json   of training in rounds: each one's answers, pairs and validation (EvalRow), and which was kept;
                         its model is models/NAME@K
logs/                    what TensorBoard and offline trackers keep of each training, where the recipe names one
exports/                 models as `plad serve` gave them to a server
judge/                   the trained scorer and its held-out accuracy
scores.sqlite            what scorers and judges have said, so that nothing is scored or asked twice
evaluation/NAME.jsonl    what a model answered on the test split, scored (EvalRow); results.json sums it up
  scores/SCORER/         the same outputs under the other scorers (Score)
  verdicts/NAME-OTHER    a pairwise judge's raw replies (Verdict)
  calibration/NAME.jsonl several samples a prompt, with likelihood and quality (ScoredSample); calibration.json sums up
report.html, report.md
.work/                   work in progress, one folder a task; safe to delete while nothing runs
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.records import Record, dump_line

LEASE = ".lease.json"
"""Of a run behind an URL: which machine works on it."""

SILENCE_S = 100.0
"""Seconds without a sign of life after which a machine is given up."""

RECORDED = ("plad", "torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "numpy")


class Run:
    """One run folder, and those beside it that have things in common with it."""

    def __init__(self, folder: Path, beside: Sequence[Path] = ()):
        self.folder, self.beside = folder, tuple(beside)
        # Of a run that is copied to an URL: which, the files that are whole there, and who is told of answers.
        self.url: str | None = None
        self.elsewhere: Collection[str] = ()
        self.answered: Callable[[dict[str, Any]], None] | None = None

    def path(self, *parts: str) -> Path:
        """A path inside the folder."""
        return self.folder.joinpath(*parts)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the folder records of itself; empty in a new one.

        Raises:
            PladError: the file is damaged.
        """
        file = self.path("manifest.json")
        if not file.is_file():
            return {}
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not all(
                isinstance(task, dict) for task in found.get("tasks", {}).values()
            ):
                raise ValueError("it is not an object of objects")
        except (ValueError, AttributeError) as error:
            raise PladError(
                f"{file} is damaged ({error}). Delete it to run every stage again; models and outputs stay until then."
            ) from None
        return found

    def start(self, recipe_text: str, seed: int, form: int, plan: Sequence[str] = ()) -> None:
        """Write the recipe, the format that stages write in, the names of its tasks, and the versions that run them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.path("recipe.yaml"), recipe_text)
        manifest = self.manifest
        manifest.pop("doing", None)
        manifest |= {
            "plad": _version("plad"),
            "format": form,
            "created": manifest.get("created") or _now(),
            "versions": {name: _version(name) for name in RECORDED} | {"python": platform.python_version()},
            "seed": seed,
            "recipe": fingerprint(recipe_text),
            "plan": list(plan),
        }
        write_json(self.path("manifest.json"), manifest)

    def finished(self, task: str) -> dict[str, Any] | None:
        """The record of a finished task, or None."""
        found = self.manifest.get("tasks", {}).get(task)
        return dict(found) if found else None

    def begin(self, task: str, followers: Iterable[str]) -> None:
        """Note that a task is under way, and that neither it nor what follows it is finished."""
        manifest = self.manifest
        for name in (task, *followers):
            manifest.get("tasks", {}).pop(name, None)
        write_json(self.path("manifest.json"), manifest | {"doing": {"task": task, "since": _now()}})

    def record(self, task: str, **entry: Any) -> None:
        """Note that a task is finished."""
        manifest = self.manifest
        manifest.pop("doing", None)
        manifest.setdefault("tasks", {})[task] = entry | {"finished": _now()}
        write_json(self.path("manifest.json"), manifest)

    def end(self, how: str, reason: str) -> None:
        """Note why the task that is under way came to no result. A process that is killed cannot note it."""
        manifest = self.manifest
        if "doing" in manifest:
            manifest["doing"] |= {"ended": how, "reason": reason}
            write_json(self.path("manifest.json"), manifest)

    def sizes(self, outputs: Iterable[str]) -> dict[str, int]:
        """The bytes of each output, or of each file in it, by its path in the folder."""
        roots = [self.path(output) for output in outputs]
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        return {file.relative_to(self.folder).as_posix(): file.stat().st_size for file in files if file.is_file()}

    def amiss(self, outputs: Iterable[str], sizes: Mapping[str, int]) -> str | None:
        """What is wrong with the outputs of a finished task: one is gone, or is not as long as it was; None if none is.

        A crash of the machine, other than one of the process, may cut short what was written.

        Args:
            sizes: as they were; of a folder that was written before they were recorded, nothing is known.
        """
        for output in outputs:
            if not self.path(output).exists() and not self._is_elsewhere(output):
                return f"{output} is gone"
        for name, size in sizes.items():
            file = self.path(name)
            if not file.is_file():
                if name in self.elsewhere:
                    continue
                return f"{name} is gone"
            if (found := file.stat().st_size) != size:
                return f"{name} has {found:,} bytes and had {size:,}: it was cut short or edited"
        return None

    def _is_elsewhere(self, output: str) -> bool:
        return any(name == output or name.startswith(f"{output}/") for name in self.elsewhere)

    def workspace(self, task: str, fingerprint: str) -> Path:
        """The folder of a task's work in progress. That of an earlier fingerprint is removed: its inputs changed."""
        wanted = self.path(".work", _workspace(task, fingerprint))
        for stale in self.path(".work").glob(_workspace(task, "?" * 12)):
            if stale != wanted:
                shutil.rmtree(stale)
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted

    @property
    def held(self) -> bool:
        """Whether a process works on the folder; its lock is taken for an instant to see."""
        from filelock import FileLock, Timeout

        if self._leased() is not None:
            return True
        if not self.path(".lock").is_file():
            return False
        try:
            with FileLock(self.path(".lock"), timeout=0):
                return False
        except Timeout:
            return True

    @property
    def owner(self) -> str:
        """Which process holds the folder, or held it last."""
        if (machine := self._leased()) is not None:
            return machine
        file = self.path(".lock.owner")
        return file.read_text(encoding="utf-8") if file.is_file() else "another process"

    def _leased(self) -> str | None:
        """Which process of another machine works on the run, if it gave a sign of life lately; see `plad.remote`."""
        if not self.path(LEASE).is_file():
            return None
        lease = json.loads(self.path(LEASE).read_text(encoding="utf-8"))
        silent = datetime.now(UTC) - datetime.fromisoformat(lease["at"])
        return None if lease["released"] or silent.total_seconds() > SILENCE_S else str(lease["who"])

    def drop_workspaces(self, due: Mapping[str, str]) -> None:
        """Remove work in progress that nothing goes on from; `due` are the tasks to come, with their fingerprints."""
        kept = {_workspace(task, mark) for task, mark in due.items()}
        for folder in self.path(".work").glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for this process. The lock goes with the process, however it ends.

        Raises:
            PladError: another process holds it.
        """
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        # Longer than another process takes to see whether it is held.
        lock = FileLock(self.path(".lock"), timeout=0.5)
        try:
            lock.acquire()
        except Timeout:
            raise PladError(
                f"one process may work on a run folder, but {self.folder} is in use by {self.owner}. "
                "Wait for it, stop it, or choose another folder with --out."
            ) from None
        try:
            write_text(self.path(".lock.owner"), f"process {os.getpid()} on {platform.node()}, since {_now()}")
            yield
        finally:
            lock.release()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a reader, or a crash, never meets half of it."""
    _write(path, [text])


def _write(path: Path, pieces: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=list) + "\n")


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON Lines, whole or not at all; they may come one by one."""
    _write(path, map(dump_line, records))


def publish(source: Path, target: Path) -> None:
    """Move a finished folder to where readers look, in place of an older one. What is in it is on the disk by then."""
    for file in source.rglob("*"):
        if file.is_file():
            _flush(file)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.replace(old)
    source.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """Put a file or folder of another run in place without a second copy: runs replace files, and never write in them.

    Copied where the disk has no hard links, or the other run is on another one.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.unlink(missing_ok=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, partial, copy_function=_link_or_copy)
        publish(partial, target)
    else:
        _link_or_copy(source, partial)
        partial.replace(target)


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value, the same for equal values whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()


def describe_path(path: Path) -> Any:
    """Name, size and time of change of a file or of the files of a folder: enough to notice an edit."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in files if p.exists()]


@contextmanager
def timed() -> Iterator[list[float]]:
    """Yields a list that has, once the block is left, the seconds inside by the clock and those of all our cores."""
    seconds: list[float] = []
    started, worked = time.monotonic(), time.process_time()
    yield seconds
    seconds += [round(time.monotonic() - started, 2), round(time.process_time() - worked, 2)]


def _workspace(task: str, fingerprint: str) -> str:
    return f"{task.replace('/', '-')}-{fingerprint[:12]}"


def _flush(file: Path) -> None:
    """Wait until a file that another library wrote is on the disk, whatever becomes of the machine's power."""
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
