"""Two processes, with DDP or FSDP2 over gloo, train and evaluate as one does, and go on where another number did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from two_processes import LOSSES, adapter_logits, assert_equal, assert_same_curve, launched, train, train_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


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


def test_an_adapter_that_was_trained_in_shares_is_saved_whole(
    two: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """peft alone puts it on its base, in one process, and reads there what it reads of one process's training."""
    assert_same_curve(two["fsdp2-whole"], train_on("ranking", tmp_path))
    found, expected = adapter_logits(folder / "fsdp2-whole"), adapter_logits(tmp_path)
    assert float((found - expected).abs().max()) < 1e-5
