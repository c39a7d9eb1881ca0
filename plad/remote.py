"""A run folder behind an URL: work is done in a folder of this machine, and each finished task is copied to the URL.

The URL holds what the folder does (`plad.runs`). The manifest is written last, so that it never names what is not there
whole. Beside it:

.lease.json        which machine works on the run, or did last; renewed while it lives
.work/             checkpoints and other work in progress, copied every half minute while a task goes on
.answers/          answers that were paid for since the beginning, in pieces, so that another machine's store has them

A machine that is lost costs what it did since the last copy. Stores of SQLite cannot live there: they are copied whole.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.generation.store import Store, default_folder
from plad.runs import LEASE, SILENCE_S, Run, write_json
from plad.training.checkpoints import NAMED, SIZES
from plad.urls import connected, told

EVERY_S = 30.0
"""Seconds between two copies of work in progress, each a sign of life."""

SCORES = "scores.sqlite"

Say = Callable[[str], None]


class Place:
    """The files below an URL, by their path in the run folder.

    Raises:
        PladError: of every method, the store does not let us in or is not reached.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        with told(url):
            self._system, self._root = connected(self.url)

    def sizes(self, below: str = "") -> dict[str, int]:
        """Bytes of each file, of those below a folder."""
        with told(self.url):
            self._system.invalidate_cache()
            try:
                found = self._system.find(self._path(below), detail=True)
            except FileNotFoundError:
                return {}
        return {name[len(self._root) :].lstrip("/"): int(info["size"]) for name, info in found.items()}

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""
        with told(f"{self.url}/{name}"):
            try:
                return bytes(self._system.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def read_json(self, name: str) -> dict[str, Any]:
        """A file's content; empty where there is none."""
        found = self.read(name)
        try:
            return dict(json.loads(found)) if found else {}
        except ValueError as error:
            raise PladError(f"{self.url}/{name} is damaged ({error}). Delete it to go on without it.") from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        with self._written(name) as path:
            self._system.pipe_file(path, content)

    def put(self, file: Path, name: str) -> None:
        """Copy a file there, whole or not at all."""
        with self._written(name) as path:
            self._system.put_file(str(file), path)

    def get(self, name: str, file: Path) -> None:
        """Copy a file here, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.partial")
        with told(f"{self.url}/{name}"):
            self._system.get_file(self._path(name), str(partial))
        partial.replace(file)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files; one that is not there is no error."""
        for name in names:
            with told(f"{self.url}/{name}"):
                try:
                    self._system.rm_file(self._path(name))
                except FileNotFoundError:
                    continue

    @contextmanager
    def _written(self, name: str) -> Iterator[str]:
        """Where to write a file. A store of objects shows it when it is whole; on a disk it is renamed then."""
        path, renamed = self._path(name), "file" in self._system.protocol
        with told(f"{self.url}/{name}"):
            yield f"{path}~" if renamed else path
            if renamed:
                self._system.mv(f"{path}~", path)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")


def folder_of(url: str) -> Path:
    """The folder of this machine in which a run behind an URL is worked on."""
    name = url.rstrip("/").rpartition("/")[2]
    return default_folder() / "runs" / f"{name}-{sha256(url.rstrip('/').encode()).hexdigest()[:12]}"


def looked_at(url: str) -> Path:
    """A run behind an URL with what is needed to look at it, and none of its weights, in a folder of this machine.

    Raises:
        PladError: there is no run.
    """
    run, place = Run(folder_of(url)), Place(url)
    run.path(LEASE).unlink(missing_ok=True)
    if run.held:  # this machine works on it: nothing there is newer
        return run.folder
    there = place.sizes()
    if "recipe.yaml" not in there:
        raise PladError(f"a run has a recipe.yaml, but {url} has none. `plad run RECIPE --out URL` makes one there.")
    _Copy(place, run).follow()
    for name, size in there.items():
        if name in ("recipe.yaml", LEASE) or (_light(name) and not _is_here(run, name, size)):
            place.get(name, run.path(name))
    return run.folder


class Nowhere:
    """What a run has that is on this machine alone."""

    def fetch(self, tasks: Iterable[str], light: bool) -> None:
        """Nothing is elsewhere."""

    def note(self) -> None:
        """Nobody is told."""

    def finish(self, outputs: Iterable[str]) -> None:
        """Nothing is copied."""


class Mirror(Nowhere):
    """A run that is copied to an URL, while this machine holds its lease."""

    def __init__(self, place: Place, run: Run, owner: str):
        self.place, self.run, self.owner = place, run, owner
        self._beats, self._copied = 0, dict[str, tuple[int, int]]()
        self._journal: list[str] = []
        self._lock, self._noting = threading.RLock(), threading.Lock()

    def fetch(self, tasks: Iterable[str], light: bool) -> None:
        """Copy the outputs of finished tasks here, where they are not.

        Args:
            light: only what a person looks at.

        Raises:
            PladError: a file there is not as long as the manifest says.
        """
        for task in tasks:
            for name, size in ((self.run.finished(task) or {}).get("sizes") or {}).items():
                if not _is_here(self.run, name, size) and (_light(name) or not light):
                    self.place.get(name, self.run.path(name))
                    if (found := self.run.path(name).stat().st_size) != size:
                        raise PladError(
                            f"{self.place.url}/{name} should have {size:,} bytes, but has {found:,}: it was edited. "
                            f"Delete {self.place.url}/manifest.json to run every stage again."
                        )

    def note(self) -> None:
        """Copy what the run says of itself."""
        with self._lock:
            self._check_lease()
            for name in ("recipe.yaml", "manifest.json"):
                if self.run.path(name).is_file():
                    self.place.put(self.run.path(name), name)

    def finish(self, outputs: Iterable[str]) -> None:
        """Copy the outputs of a task that is finished, and then the manifest, which names them."""
        with self._lock:
            self._check_lease()
            for output in outputs:
                here = self.run.sizes([output])
                for name in here:
                    self.place.put(self.run.path(name), name)
                self.place.remove(self.place.sizes(output).keys() - here.keys())
            self._keep_said()
            self.note()
            self._keep_work()

    def catch_up(self) -> None:
        """Copy what this machine finished before it was stopped in the middle of a copy."""
        there = self.place.read_json("manifest.json").get("tasks", {})
        late = [record for name, record in self.run.manifest.get("tasks", {}).items() if there.get(name) != record]
        for name in (name for record in late for name in record.get("sizes", {})):
            if self.run.path(name).is_file():
                self.place.put(self.run.path(name), name)
        if late:
            self.note()
        self._beat()

    def answered(self, what: dict[str, Any]) -> None:
        """Note what the store of generations was given."""
        with self._noting:
            self._journal.append(json.dumps(what, ensure_ascii=False) + "\n")

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Copy work in progress every now and then, and in the end; then the lease is given back."""
        over = threading.Event()
        # Apart, so that a copy that takes long does not look like silence.
        threads = [threading.Thread(target=_every, args=(over, work), daemon=True) for work in (self._live, self._keep)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
            with self._lock:
                if self.place.read_json(LEASE).get("owner") == self.owner:
                    self._keep_said()
                    self.note()
                    self._keep_work()
                    self._beat(released=True)

    def _live(self) -> None:
        self._check_lease()
        self._beat()

    def _keep(self) -> None:
        with self._lock:
            self._check_lease()
            self._keep_said()
            self._keep_work()

    def _keep_said(self) -> None:
        """Copy answers and scores."""
        count = len(self._journal)
        if count:
            piece = "".join(self._journal[:count])
            self.place.write(f".answers/{self.owner}-{time.time_ns()}.jsonl", piece.encode())
            with self._noting:
                del self._journal[:count]
        with self._lock:
            self._keep_scores()

    def _keep_work(self) -> None:
        """Copy work in progress, and remove what is no longer."""
        here = dict(_work(self.run))
        for name, file in here.items():
            try:
                stamp = (file.stat().st_size, file.stat().st_mtime_ns)
                if self._copied.get(name) != stamp:
                    self.place.put(file, name)
                    self._copied[name] = stamp
            except (FileNotFoundError, PladError):  # the task put it elsewhere meanwhile
                if file.exists():
                    raise
        self.place.remove(self.place.sizes(".work").keys() - here.keys())

    def _keep_scores(self) -> None:
        """A copy of the scores as of one moment, though somebody may be writing."""
        source, copy = self.run.path(SCORES), self.run.path(f".{SCORES}.copy")
        stamps = [file.stat().st_mtime_ns for file in (source, Path(f"{source}-wal")) if file.is_file()]
        if not stamps or self._copied.get(SCORES) == (len(stamps), max(stamps)):
            return
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(source)) as file, closing(sqlite3.connect(copy)) as target:
            file.backup(target)
        self.place.put(copy, SCORES)
        copy.unlink()
        self._copied[SCORES] = (len(stamps), max(stamps))

    def _check_lease(self) -> None:
        if (lease := self.place.read_json(LEASE)).get("owner") != self.owner:
            raise PladError(
                f"one machine may work on a run, but {self.place.url} was taken over by {lease.get('who', 'another')}, "
                "which heard nothing of this one. Let that one go on."
            )

    def _beat(self, released: bool = False) -> None:
        self._beats += 1
        self.place.write(LEASE, _lease(self.owner, self._beats, released, self.owner))


@contextmanager
def mirrored(run: Run, url: str | None, say: Say) -> Iterator[Nowhere]:
    """Hold the lease of an URL and make the folder follow what is there; without an URL, do nothing.

    Raises:
        PladError: another machine works on the run, or the store does not let us in.
    """
    if url is None:
        yield Nowhere()
        return
    place = Place(url)
    copy = _Copy(place, run)
    _take_lease(place, copy.owner, say)
    mirror = Mirror(place, run, copy.owner)
    copy.follow()
    copy.take_work()
    run.url, run.answered = place.url, mirror.answered
    mirror.catch_up()
    with mirror.alive():
        yield mirror


def _every(over: threading.Event, work: Callable[[], None]) -> None:
    """Do it now and then. A store that is not reached for a while costs nothing but a copy."""
    while not over.wait(EVERY_S):
        with suppress(PladError, OSError, sqlite3.Error):
            work()


class _Copy:
    """The folder of this machine, brought to where the URL is."""

    def __init__(self, place: Place, run: Run):
        self.place, self.run, self._file = place, run, run.path(".mirror.json")
        self._state = json.loads(self._file.read_text()) if self._file.is_file() else {}

    @property
    def owner(self) -> str:
        """This folder's own name for itself, in leases and in pieces of answers."""
        if "owner" not in self._state:
            self._remember("owner", uuid.uuid4().hex[:12])
        return str(self._state["owner"])

    def follow(self) -> None:
        """Take the manifest that is there, unless this folder wrote it; what was made otherwise here is forgotten."""
        there = self.place.read_json("manifest.json")
        wrote = self.place.read_json(LEASE).get("wrote")
        if there and (wrote != self.owner or not self.run.manifest):
            ours, theirs = self.run.manifest.get("tasks", {}), there.get("tasks", {})
            for name in ours.keys() | theirs.keys():
                for record in (ours.get(name), theirs.get(name)) if ours.get(name) != theirs.get(name) else ():
                    for file in (record or {}).get("sizes", {}):
                        self.run.path(file).unlink(missing_ok=True)
            write_json(self.run.path("manifest.json"), there)
        self.run.elsewhere = self.place.sizes()

    def take_work(self) -> None:
        """Take work in progress, scores, and answers that other machines paid for."""
        there = self.run.elsewhere
        if self.place.read_json(LEASE).get("wrote") not in (self.owner, None):
            shutil.rmtree(self.run.path(".work"), ignore_errors=True)
            for name in there:
                if name.startswith(".work/"):
                    self.place.get(name, self.run.path(name))
            if SCORES in there:
                self._take_scores()
        taken = list(self._state.get("taken", []))
        fresh = [n for n in sorted(there) if n.startswith(".answers/") and n not in taken and self.owner not in n]
        for name in fresh:
            self._take_answers(name)
            self._remember("taken", [*taken, *fresh[: fresh.index(name) + 1]])

    def _take_scores(self) -> None:
        other = self.run.path(f".{SCORES}.other")
        self.place.get(SCORES, other)
        if self.run.path(SCORES).is_file():
            with closing(sqlite3.connect(self.run.path(SCORES), isolation_level=None)) as file:
                file.execute("ATTACH ? AS other", (str(other),))
                file.execute("INSERT OR IGNORE INTO said SELECT key, value FROM other.said")
            other.unlink()
        else:
            other.replace(self.run.path(SCORES))

    def _take_answers(self, name: str) -> None:
        store = Store()
        try:
            for line in (self.place.read(name) or b"").decode().split("\n")[:-1]:
                store.take(json.loads(line))
        finally:
            store.close()

    def _remember(self, key: str, value: Any) -> None:
        self._state[key] = value
        write_json(self._file, self._state)


def _take_lease(place: Place, owner: str, say: Say) -> None:
    """Become the machine that works on a run; one that gives no sign of life is waited for, and then given up.

    Raises:
        PladError: another machine is at work.
    """
    found = place.read_json(LEASE)
    if found and not found.get("released") and found.get("owner") != owner:
        say(f"{place.url}: {found['who']} did not give it back; waiting {SILENCE_S:.0f} s for a sign of life")
        until = time.monotonic() + SILENCE_S
        while (now := place.read_json(LEASE)) == found and time.monotonic() < until:
            time.sleep(min(1.0, SILENCE_S / 10))
        if now == found:
            say(f"{place.url}: none; going on from what it left")
        elif now and not now.get("released"):
            raise PladError(
                f"one machine may work on a run, but {place.url} is in use by {now['who']}. "
                "Wait for it, stop it, or choose another URL with --out."
            )
    place.write(LEASE, _lease(owner, 0, False, found.get("wrote")))
    if place.read_json(LEASE).get("owner") != owner:
        raise PladError(f"one machine may work on a run, but another took {place.url} at this moment. Wait for it.")


def _lease(owner: str, beat: int, released: bool, wrote: str | None) -> bytes:
    """`wrote`: who wrote last what is there beside the lease."""
    who = f"process {os.getpid()} on {platform.node()}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    lease = {"owner": owner, "who": who, "beat": beat, "released": released, "at": at, "wrote": wrote}
    return json.dumps(lease).encode()


def _work(run: Run) -> Iterator[tuple[str, Path]]:
    """Work in progress that another machine could go on from: no hidden files, and of checkpoints those that are whole.

    What seals a checkpoint comes last.
    """
    root = run.path(".work")
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    for file in sorted(files, key=lambda file: file.name == SIZES):
        inside = file.relative_to(root).parts
        checkpoint = next((root.joinpath(*inside[: k + 1]) for k, p in enumerate(inside) if p.startswith(NAMED)), None)
        if not any(part.startswith(".") for part in inside) and (not checkpoint or (checkpoint / SIZES).is_file()):
            yield file.relative_to(run.folder).as_posix(), file


def _light(name: str) -> bool:
    """Whether a person looks at it: no weights, no answers to learn from, no work in progress."""
    shown = ("evaluation/", "rounds/", "data/", "pairs.", "report.", "recipe.yaml", "rounds.json")
    return name.startswith(shown) or name.endswith(("/history.jsonl", "/guard.jsonl"))


def _is_here(run: Run, name: str, size: int) -> bool:
    file = run.path(name)
    return file.is_file() and file.stat().st_size == size
