"""Two processes that DeepSpeed divides a model over, ZeRO-2 and ZeRO-3 over gloo, train and go on as one does alone.

Left out where DeepSpeed is not installed: `DS_BUILD_OPS=0 pip install --no-build-isolation deepspeed`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from two_processes import LOGGED, adapter_logits, assert_equal, assert_same_curve, launched, train, train_on

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed"),
]
KINDS = ("nll", "ranking", "kd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deepspeed")


@pytest.fixture(scope="module")
def two(folder: Path) -> dict[str, Any]:
    return launched(folder, 2, "deepspeed")


@pytest.fixture(scope="module")
def one(two: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Under DeepSpeed as well."""
    return launched(folder, 1, "deepspeed")


@pytest.fixture(scope="module")
def ones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("one")
    return {kind: train(kind, folder, world=1) for kind in KINDS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One process, not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_on("ranking", folder, log_every=LOGGED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", [2, 3])
def test_two_processes_learn_as_one(stage: int, kind: str, two: dict[str, Any], ones: dict[str, Any]) -> None:
    one, both = ones[kind], two[f"{stage}-{kind}"]
    assert both["wrapped"] == "DeepSpeedEngine"
    assert both["held"] == (one["held"] if stage == 2 else one["held"] // 2)
    assert_equal(one, both)


@pytest.mark.parametrize("stage", [2, 3])
def test_a_training_goes_on_and_its_adapter_is_whole(
    stage: int, two: dict[str, Any], folder: Path, whole: tuple[Path, dict[str, Any]]
) -> None:
    assert two[f"{stage}-stopped"] == {"stopped": ["checkpoint-4"]}
    for way in ("on", "again"):
        assert_same_curve(two[f"{stage}-{way}"], whole[1], logged=3)  # steps 1, 3 and 6
    found, expected = adapter_logits(folder / f"zero{stage}"), adapter_logits(whole[0])
    assert float((found - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("stage", [2, 3])
def test_another_number_of_processes_is_refused(stage: int, two: dict[str, Any], one: dict[str, Any]) -> None:
    assert two[f"{stage}-stopped"] == {"stopped": ["checkpoint-4"]}
    assert "was written by 2 and these are 1. Set launch.devices" in one[f"{stage}-on"]["refused"]
