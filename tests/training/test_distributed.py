"""Two processes, with DDP or FSDP2 over gloo, train and evaluate as one does, and go on where another number did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from two_processes import LOSSES, train, train_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def launched(folder: Path, processes: int) -> dict[str, Any]:
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    root = Path(__file__).parents[2]
    # Settings of this process's accelerate, if any, must not leak into the two.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE_")}
    env = clean | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [*command, str(script), str(folder)], env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(torch.load(folder / f"result-{processes}.pt"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder: Path) -> dict[str, Any]:
    stopped = train_on("nll", folder / "one-to-two", stop=True)
    assert stopped == {"stopped": ["checkpoint-4"]}
    return launched(folder, 2)


@pytest.fixture(scope="module")
def ones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("one")
    return {kind: train(kind, folder, world=1) for kind in LOSSES}


def assert_equal(one: dict[str, Any], both: dict[str, Any]) -> None:
    assert (one["world"], both["world"]) == (1, 2)
    assert one["weights"].keys() == both["weights"].keys()
    for name, value in one["weights"].items():
        torch.testing.assert_close(both["weights"][name], value, atol=1e-6, rtol=1e-5, msg=name)
    # 7 examples in batches of 3: one process holds 3 + 1 of them and what accelerate repeats to fill the rest.
    assert both["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)
    assert both["logged"]["loss"] == pytest.approx(one["logged"]["loss"], rel=1e-5)
    assert both["logged"] == pytest.approx(one["logged"], rel=1e-4)


@pytest.mark.parametrize("kind", LOSSES)
def test_two_processes_equal_one(kind: str, two: dict[str, Any], ones: dict[str, Any]) -> None:
    assert two[kind]["wrapped"] == "DistributedDataParallel"
    assert two[kind]["held"] == ones[kind]["held"]
    assert_equal(ones[kind], two[kind])


@pytest.mark.parametrize("kind", ["nll", "ranking", "kd"])
def test_a_model_divided_over_two_processes_learns_as_a_whole_one(
    kind: str, two: dict[str, Any], ones: dict[str, Any]
) -> None:
    one, both = ones[kind], two[f"fsdp2-{kind}"]
    assert both["wrapped"].startswith("FSDP")
    assert 0.4 * one["held"] < both["held"] < 0.6 * one["held"]
    assert_equal(one, both)


@pytest.mark.parametrize("way", ["one to two", "two to one"])
def test_training_goes_on_with_another_number_of_processes(
    way: str, two: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """Ctrl-C in one of two processes stops both behind the same step."""
    assert two["stopped"] == {"stopped": ["checkpoint-4"]}
    whole = train_on("nll", tmp_path)
    on = two["on"] if way == "one to two" else train_on("nll", folder / "two-to-one")
    assert_same_curve(on, whole)


def test_a_divided_models_training_goes_on_with_one_process(two: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    assert two["fsdp2-stopped"] == {"stopped": ["checkpoint-4"]}
    whole, on = train_on("ranking", tmp_path), launched(folder, 1)["on"]
    assert_same_curve(on, whole)


def assert_same_curve(on: dict[str, Any], whole: dict[str, Any]) -> None:
    assert len(on["losses"]) == 6
    assert on["losses"] == pytest.approx(whole["losses"], rel=1e-5)
    assert on["summary"] == pytest.approx(whole["summary"], rel=1e-5)
    for name, value in whole["weights"].items():
        torch.testing.assert_close(on["weights"][name], value, atol=1e-5, rtol=1e-4, msg=name)
