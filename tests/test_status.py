"""What a run says of itself, for every way in which it can be left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TASKS, Recorder, rows, write_recipe, write_rows

from plad.config import load_recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.runs import Run
from plad.status import runs_below, status


class Breaker(Recorder):
    """Raises an error where a bar of this name begins."""

    def __init__(self, label: str, error: BaseException):
        super().__init__()
        self.label, self.error = label, error

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Any]:
        if label == self.label:
            raise self.error
        yield lambda done, values, total=None: None


def test_not_begun(tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"has a recipe\.yaml, but .* has none"):
        status(tmp_path)
    write_recipe(tmp_path)
    found = status(tmp_path)
    assert (found.state, found.done, found.tasks, found.updated) == ("not begun", 0, {}, None)


def test_finished(finished_run: Path) -> None:
    found = status(finished_run)
    records = json.loads((finished_run / "manifest.json").read_text())["tasks"]
    assert (found.state, found.done, found.doing, found.reason) == ("finished", len(TASKS), None, "")
    assert found.tasks == {name: records[name]["seconds"] for name in TASKS}
    assert list(found.stages) == ["prepare", "sft", "sample", "pair", "distill", "evaluate", "report"]
    results = json.loads((finished_run / "evaluation" / "results.json").read_text())
    assert found.wins["plad"]["initial"] == results["rows"][-1]["against_initial"]


def test_win_rates_so_far_are_those_of_the_results(finished_run: Path) -> None:
    records = json.loads((finished_run / "manifest.json").read_text())["tasks"]
    for row in json.loads((finished_run / "evaluation" / "results.json").read_text())["rows"]:
        wins = records[f"evaluate/{row['name']}"]["summary"]["wins"]
        assert wins["reference"] == row["win_rate"]
        # The initial student may come after the teacher, which is set beside it in the results.
        assert row["name"] == "teacher" or wins.get("initial") == row["against_initial"]


def test_an_edited_recipe_is_told(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    assert not status(folder).edited
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 1", "seed: 2"))
    assert status(folder).edited


def test_running_and_then_killed(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from plad.runs import Run\n"
        "run = Run(Path(sys.argv[1]))\n"
        "with run.lock():\n"
        "    run.start('name: tiny', 1, 2, ['prepare', 'sft/teacher'])\n"
        "    run.record('prepare', seconds=1.5)\n"
        "    run.begin('sft/teacher', [])\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    found = status(tmp_path)
    assert (found.state, found.doing) == ("running", "sft/teacher")
    assert f"process {process.pid} on" in found.reason
    process.kill()
    process.communicate()
    found = status(tmp_path)
    assert (found.state, found.doing, found.reason) == ("killed", "sft/teacher", "")
    assert found.tasks == {"prepare": 1.5, "sft/teacher": None}


def test_looking_does_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    one = Run(tmp_path)
    with one.lock():
        pass
    assert status(tmp_path).state == "not begun"
    with one.lock():
        assert status(tmp_path).state == "running"


def test_failed_with_its_reason(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", [{"prompt": row["prompt"], "reference": ""} for row in rows()])
    recipe = load_recipe(write_recipe(tmp_path / "recipe", data=data))
    with pytest.raises(PladError, match="have none") as raised:
        run(recipe, tmp_path / "run", display := Recorder())
    found = status(tmp_path / "run")
    assert (found.state, found.doing, found.reason) == ("failed", "prepare", str(raised.value))
    assert display.events[-1] == ("end", {"failed": "prepare"})


def test_the_text_of_an_error_that_nobody_foresaw_is_not_kept(tiny_recipe: Path, tmp_path: Path) -> None:
    display = Breaker("reading the task", RuntimeError("Bearer sk-secret"))
    with pytest.raises(RuntimeError):
        run(load_recipe(tiny_recipe), tmp_path / "run", display)
    found = status(tmp_path / "run")
    assert (found.state, found.reason) == ("failed", "RuntimeError")
    assert "sk-secret" not in (tmp_path / "run" / "manifest.json").read_text()


def test_stopped_and_partly_done(tiny_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(tiny_recipe), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, Breaker("reading the task", KeyboardInterrupt()))
    assert (status(folder).state, status(folder).doing) == ("stopped", "prepare")
    run(recipe, folder, display := Recorder(), only="prepare")
    assert display.events[-1] == ("end", {"failed": None})
    found = status(folder)
    assert (found.state, found.done, len(found.tasks)) == ("partly done", 2, len(TASKS))


def test_runs_below_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a/deep/one", ".hidden", "a/two"):
        write_recipe(tmp_path / name)
    write_recipe(tmp_path / "b" / "inside")
    (tmp_path / "empty").mkdir()
    assert [str(path.relative_to(tmp_path)) for path in runs_below(tmp_path)] == ["a/deep/one", "a/two", "b"]
