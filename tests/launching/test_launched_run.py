"""A run whose training tasks are done by two processes, really started: stopped, killed, continued, on two machines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tiny_run import RECIPE, Recorder, finished, offline, rows, write_recipe, write_rows

from plad.config import load_recipe
from plad.errors import PladError
from plad.pipeline import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

STEPS = 40
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder in which one training is due: the teacher's answers are recorded, the student is yet to be tuned."""
    where = tmp_path_factory.mktemp("launched")
    answers = [{"prompt": row["prompt"], "response": row["reference"]} for row in rows()]
    teacher = f"  model: {{type: recorded, path: {write_rows(where / 'answers.jsonl', answers)}}}\n  sft: null\n"
    begin, end = RECIPE.index("  model:"), RECIPE.index("student:")
    text = (RECIPE[:begin] + teacher + RECIPE[end:]).replace("max_steps: 20", f"max_steps: {STEPS}, log_every: 1")
    recipe = load_recipe(write_recipe(where / "in", text), ["student.sft.checkpoint_every=10"])
    return run(recipe, where / "run", Recorder(), only="prepare").folder


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process has trained."""
    folder = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("alone") / "run"))
    train(folder, devices=1)
    return folder


def train(folder: Path, devices: int) -> Recorder:
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml", [f"launch.devices={devices}"]), folder, display, only="sft")
    return display


def assert_same_student(folder: Path, alone: Path) -> None:
    ours, theirs = (found / "models" / "student" for found in (folder, alone))
    for one, two in zip(curve(ours), curve(theirs), strict=True):
        assert one == pytest.approx(two, rel=1e-3, abs=1e-5)
    mine, other = (load_file(model / "model.safetensors") for model in (ours, theirs))
    assert mine.keys() == other.keys()
    for name, value in other.items():
        torch.testing.assert_close(mine[name], value, atol=1e-3, rtol=1e-2, msg=name)
    summaries = [finished(found)["sft/student"]["summary"] for found in (folder, alone)]
    for key in ("steps", "tokens", "examples", "parameters", "trainable"):
        assert summaries[0][key] == summaries[1][key]


def curve(model: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (model / "history.jsonl").read_text().splitlines()]
    assert sum("loss" in entry for entry in entries) == STEPS
    # The norm of a gradient of nearly nothing is rounding.
    return [{name: value for name, value in entry.items() if name != "grad_norm"} for entry in entries]


def once(done: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Do something as soon as something else is so."""

    def wait() -> None:
        limit = time.monotonic() + 500
        while time.monotonic() < limit:
            if done():
                act()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def checkpoints(folder: Path) -> list[int]:
    """Those that are whole."""
    found = folder.glob(".work/sft-student-*/checkpoint-*/plad_sizes.json")
    return sorted(int(path.parent.name.removeprefix("checkpoint-")) for path in found)


def workers(folder: Path) -> dict[str, psutil.Process]:
    """The processes that train in a folder, by their number."""
    found: dict[str, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if "plad.worker" in process.cmdline() and str(folder) in process.cmdline():
                found[process.environ()["RANK"]] = process
        except (psutil.Error, KeyError):
            continue
    return found


def test_two_processes_are_stopped_and_killed_and_come_to_what_one_does(
    prepared: Path, alone: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "run"))
    seen: list[dict[str, psutil.Process]] = []

    def press() -> None:
        seen.append(workers(folder))
        os.kill(os.getpid(), signal.SIGINT)

    thread = once(lambda: bool(checkpoints(folder)), press)
    with pytest.raises(KeyboardInterrupt):
        train(folder, devices=2)
    thread.join()
    assert set(seen[0]) == {"0", "1"}
    stopped = checkpoints(folder)[-1]
    assert 10 <= stopped < STEPS
    assert list(finished(folder)) == ["prepare/check", "prepare"]

    def kill() -> None:
        workers(folder)["1"].send_signal(signal.SIGKILL)

    thread = once(lambda: set(workers(folder)) == {"0", "1"}, kill)
    with pytest.raises(PladError, match=r"process 1 was ended by SIGKILL.*continues from the last checkpoint"):
        train(folder, devices=2)
    thread.join()
    wait_until(lambda: not workers(folder), "a process outlived the run")
    assert json.loads((folder / "manifest.json").read_text())["doing"]["ended"] == "failed"
    assert checkpoints(folder)[-1] >= stopped

    display = train(folder, devices=2)
    assert display.worked == ["sft/student"]
    assert display.bars == ["training student"]
    assert_same_student(folder, alone)
    assert train(folder, devices=1).worked == [], "the number of processes is no reason to train again"


def wait_until(true: Callable[[], bool], otherwise: str) -> None:
    limit = time.monotonic() + 60
    while not true():
        assert time.monotonic() < limit, otherwise
        time.sleep(0.1)


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def started(command: list[str], **variables: str) -> subprocess.Popen[str]:
    environment: dict[str, Any] = offline() | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | variables
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=pipe, stderr=pipe, text=True)


def test_two_machines_train_what_one_does(prepared: Path, alone: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "run"))
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port())}
    command = ["plad", "sft", str(folder), "--set", "launch.nodes=2"]
    machines = [started(command, NODE_RANK=str(node), **told) for node in (1, 0)]
    ends = [machine.communicate(timeout=600) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], ends
    assert "machine 1 of 0 to 1 waits" in ends[0][0]
    assert "training student" in ends[1][0]
    assert_same_student(folder, alone)


def test_torchrun_of_the_whole_command_says_how_many_processes_train(
    prepared: Path, alone: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "run"))
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "--module"]
    whole = started([*launcher, "plad", "sft", str(folder)])
    out, err = whole.communicate(timeout=600)
    assert whole.returncode == 0, err
    assert out.count("training student") == 1
    assert_same_student(folder, alone)
