"""Two processes, with DDP over gloo, train and evaluate as one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from two_processes import LOSSES, train


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("two")
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, folder]
    root = Path(__file__).parents[2]
    # Settings of this process's accelerate, if any, must not leak into the two.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE_")}
    env = clean | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(torch.load(folder / "result.pt"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOSSES)
def test_two_processes_equal_one(kind: str, two: dict[str, Any], tmp_path: Path) -> None:
    one, both = train(kind, tmp_path, world=1), two[kind]
    assert (one["world"], both["world"]) == (1, 2)
    assert both["wrapped"] == "DistributedDataParallel"
    for name, value in one["weights"].items():
        torch.testing.assert_close(both["weights"][name], value, atol=1e-6, rtol=1e-5, msg=name)
    # 7 examples in batches of 3: one process holds 3 + 1 of them and what accelerate repeats to fill the rest.
    assert both["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)
    assert both["logged"] == pytest.approx(one["logged"], rel=1e-4)
