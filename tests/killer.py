"""A run killed with SIGKILL again and again: `python killer.py RECIPE FOLDER SEED KILLS`, with KILLS for each task.

One process imports everything once and forks a child for each attempt. The child is killed at a chosen write to the
disk (the attempt to open, move, link or remove a file), or a random moment after a chosen sign of progress. What it did
until then it has told through a pipe, which outlives it. Prints one JSON object: `counts` of the undisturbed run, which
goes to FOLDER/undisturbed, and the `attempts` in FOLDER/disturbed, the last of which nobody killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "sqlite3.connect"}


@dataclass(frozen=True)
class Kill:
    """In a task, at its `number`-th sign of that kind: `write`, or `progress` and up to 30 ms more.

    A task that is continued gives fewer signs than a whole one: then it is where the next one begins. One that is
    finished by then gives none: then it is in the task that is due.
    """

    task: str
    kind: str
    number: int


@dataclass
class Attempt:
    """What a process told before it ended: signs of each kind by task, steps of training, and answers it computed."""

    kill: Kill | None
    killed_in: str | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    steps: list[tuple[str, int]] = field(default_factory=list)
    sampled: int = 0


class Told:
    """The display of the process that is to be killed, and the hook that sees its writes."""

    def __init__(self, pipe: int, kill: Kill | None):
        self.pipe, self.kill, self.task, self.left = pipe, kill, "", kill.number if kill else 0
        self.where = kill.task if kill else ""

    def tell(self, *what: Any) -> None:
        os.write(self.pipe, (json.dumps(what) + "\n").encode())

    def sign(self, kind: str) -> None:
        self.tell(kind)
        if self.kill is None or (self.task, kind) != (self.where, self.kill.kind):
            return
        self.left -= 1
        if self.left == 0:
            if kind == "write":
                os.kill(os.getpid(), signal.SIGKILL)
            self.tell("now")

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        opens = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if self.task and (opens or event in CHANGES):
            self.sign("write")

    def say(self, text: str) -> None:
        pass

    def event(self, kind: str, **fields: Any) -> None:
        if kind == "plan" and self.kill and self.where not in fields["todo"]:
            self.where = fields["todo"][0]
        if kind == "task":
            passed = self.kill is not None and self.task == self.where
            self.task = fields["name"]
            self.tell("task", self.task)
            if passed:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        def advance(done: int, values: Any, total: int | None = None) -> None:
            if label.startswith("training "):
                self.tell("step", label, done)
            self.sign("progress")

        yield advance


def work(recipe: Path, folder: Path, told: Told) -> None:
    """The run itself, in a child that nobody waits for."""
    from plad.config import load_recipe
    from plad.generation.hf import HFGenerator
    from plad.pipeline import run

    batch = HFGenerator._batch

    def counted(self: Any, rows: Any, *rest: Any) -> Any:
        told.tell("sampled", len(rows))
        return batch(self, rows, *rest)

    HFGenerator._batch = counted  # type: ignore[method-assign]
    sys.addaudithook(told.hook)
    run(load_recipe(recipe), folder, told)


def attempt(recipe: Path, folder: Path, kill: Kill | None, draw: random.Random) -> Attempt:
    """Fork, wait for the end, and say what came of it."""
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reads)
        try:
            work(recipe, folder, Told(writes, kill))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    os.close(writes)
    found, task = Attempt(kill), ""
    with os.fdopen(reads) as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            what, *rest = json.loads(line)
            if what == "now":
                time.sleep(draw.uniform(0, 0.03))
                os.kill(child, signal.SIGKILL)
            task = rest[0] if what == "task" else task
            if what in ("write", "progress"):
                signs = found.counts.setdefault(task, {"write": 0, "progress": 0})
                signs[what] += 1
            if what == "step":
                found.steps.append((rest[0], rest[1]))
            found.sampled += rest[0] if what == "sampled" else 0
    status = os.waitpid(child, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise SystemExit(f"after {kill} the run ended with status {status}")
    found.killed_in = task if status else None
    return found


def main(recipe: Path, folder: Path, seed: int, kills: int) -> dict[str, Any]:
    """Run once undisturbed and once with kills in every task."""
    import peft  # noqa: F401
    import torch
    import transformers  # noqa: F401

    import plad.pipeline  # noqa: F401

    torch.set_num_threads(1)
    draw = random.Random(seed)
    store = os.environ["PLAD_CACHE"]
    os.environ["PLAD_CACHE"] = f"{store}-undisturbed"
    undisturbed = attempt(recipe, folder / "undisturbed", None, draw)
    os.environ["PLAD_CACHE"] = store
    attempts = [
        attempt(recipe, folder / "disturbed", Kill(task, kind, draw.randint(1, counts[kind])), draw)
        for task, counts in undisturbed.counts.items()
        for kind in draw.choices([kind for kind in ("write", "progress") if counts[kind]], k=kills)
    ]
    attempts.append(attempt(recipe, folder / "disturbed", None, draw))
    return {"undisturbed": asdict(undisturbed), "attempts": [asdict(one) for one in attempts]}


if __name__ == "__main__":
    arguments = sys.argv[1:]
    print(json.dumps(main(Path(arguments[0]), Path(arguments[1]), int(arguments[2]), int(arguments[3]))))
