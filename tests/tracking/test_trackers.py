"""Each tracker's own reader finds what was logged, once, also where a killed process is gone on from."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plad.errors import PladError
from plad.tracking import TRACKERS, Tracked, check_installed, open_tracker

ABOUT = Tracked("0123456789abcdef", "tiny plad", "tiny", Path("logs"), {"learning_rate": 0.01, "lora.r": 8})


def follow(name: str, folder: Path) -> Tracked:
    """Two steps, of which a crash loses the second's checkpoint; then the second again, the third, and the results."""
    about = replace(ABOUT, folder=folder)
    first = open_tracker(name, about)
    first.log({"train/loss": 3.0}, 1)
    first.log({"train/loss": 2.0}, 2)
    first.end(whole=False)
    again = open_tracker(name, replace(about, step=1))
    again.log({"train/loss": 2.0}, 2)
    again.log({"train/loss": 1.5}, 3)
    again.end(whole=True)
    results = open_tracker(name, replace(about, step=None))
    results.summary({"results/win_rate": 0.625})
    results.end(whole=True)
    return about


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    about = follow("tensorboard", tmp_path)
    assert scalars(about.own_folder) == {
        "train/loss": [(1, 3.0), (2, 2.0), (3, 1.5)],
        "results/win_rate": [(0, 0.625)],
    }
    begun_anew = open_tracker("tensorboard", about)
    begun_anew.log({"train/loss": 9.0}, 1)
    begun_anew.end(whole=True)
    assert scalars(about.own_folder) == {"train/loss": [(1, 9.0)]}


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    follow("mlflow", tmp_path)
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("plad").experiment_id])
    assert (run.info.run_name, run.info.status) == ("tiny plad", "FINISHED")
    assert run.data.params == {"learning_rate": "0.01", "lora.r": "8"}
    assert run.data.tags["plad.run"] == "tiny"
    logged = {(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "train/loss")}
    assert logged == {(1, 3.0), (2, 2.0), (3, 1.5)}
    assert run.data.metrics["results/win_rate"] == 0.625


@pytest.mark.slow
def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path)
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path)
    follow("trackio", tmp_path)
    (file,) = tmp_path.glob("*.db")
    rows = [
        (name, json.loads(text))
        for name, text in sqlite3.connect(file).execute("select run_name, metrics from metrics")
    ]
    assert {name for name, _ in rows} == {"tiny plad 012345"}
    assert SQLiteStorage.get_runs("plad") == ["tiny plad 012345"]
    assert [values["train/loss"] for _, values in rows if "train/loss" in values] == [3.0, 2.0, 2.0, 1.5]
    assert [values["results/win_rate"] for _, values in rows if "results/win_rate" in values] == [0.625]


@pytest.mark.slow
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    follow("wandb", tmp_path)
    parts = sorted(tmp_path.glob("wandb/offline-run-*"))
    assert parts, "where one of its name is there already, wandb puts a number behind it"
    assert all(f"-{ABOUT.id}" in part.name for part in parts)
    kept = b""
    for _ in range(100):  # a process of its own writes them
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("wandb/offline-run-*/*.wandb"))
        if b"results/win_rate" in kept:
            break
        time.sleep(0.1)
    for told in (b"train/loss", b"results/win_rate", b"tiny plad", b"learning_rate"):
        assert told in kept
    assert b"k" * 40 not in kept


def test_a_tracker_that_is_not_there_is_refused_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[str], Any] = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("plad.tracking.find_spec", lambda name: None if name == "wandb" else real(name))
    check_installed(["json"])
    with pytest.raises(PladError, match=r"report_to names wandb, but it is not installed\. Run `pip install wandb`"):
        check_installed(["json", "wandb"])


def test_one_that_does_not_begin_is_told_of_without_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(about: Tracked) -> None:
        raise ValueError("the key sk-secret is wrong")

    monkeypatch.setitem(TRACKERS, "wandb", begin)
    with pytest.raises(PladError, match=r"wandb does not follow tiny plad \(ValueError\): log in") as told:
        open_tracker("wandb", ABOUT)
    assert "secret" not in str(told.value)
