from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_run import REPORTS, TASKS, differing, finished, outputs, rows, write_rows

from plad.cli import main
from plad.commands.stages import STAGES
from plad.status import status

PLAD = [sys.executable, "-m", "plad"]
CONTROL = re.compile(r"[\r\x1b\x08]")


def run_plad(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, its output in a pipe."""
    return subprocess.run([*PLAD, *map(str, arguments)], capture_output=True, text=True, timeout=250)


def test_help_is_instant_and_names_every_stage() -> None:
    code = "import sys; from plad.cli import main; main(['--help'], standalone_mode=False)\n"
    code += "print([name for name in ('torch', 'transformers', 'pydantic', 'yaml', 'rich') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout.endswith("[]\n"), ended.stderr
    for name in (*STAGES, "run", "init"):
        assert re.search(rf"^  {name} ", ended.stdout, flags=re.MULTILINE), name


def test_the_stages_of_the_command_line_are_those_of_the_pipeline() -> None:
    from plad.planning import STAGES as PLANNED

    assert tuple(STAGES) == PLANNED


def test_a_pipe_gets_plain_lines(tiny_recipe: Path, finished_run: Path, tmp_path: Path) -> None:
    ended = run_plad("run", tiny_recipe, "--out", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    assert CONTROL.search(ended.stdout) is None
    assert ended.stderr == ""
    assert [line for line in ended.stdout.splitlines() if line in TASKS] == TASKS
    assert re.search(r"^  training plad: \d+ s, loss [\d.]+, accuracy [\d.]+$", ended.stdout, flags=re.MULTILINE)
    folder = tmp_path / "run"
    assert ended.stdout.endswith(f"report: {folder / 'report.html'}\nnext:   plad show {folder} --example 1\n")
    # Another process, with another seed of its own for the order of sets.
    assert differing(tmp_path / "run", finished_run) <= REPORTS
    assert max(map(len, ended.stdout.splitlines())) <= 120 + len(str(tmp_path))


def test_json_is_one_object_a_line(tiny_recipe: Path, finished_run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(tiny_recipe), "--out", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(isinstance(event, dict) for event in events)
    assert events[0] == {"event": "plan", "folder": str(tmp_path / "run"), "tasks": TASKS, "done": [], "todo": TASKS}
    assert [event["name"] for event in events if event["event"] == "done"] == TASKS
    assert events[-1]["event"] == "results"
    results = json.loads((finished_run / "evaluation" / "results.json").read_text())
    assert events[-1]["rows"] == results["rows"]


def test_a_run_folder_is_a_recipe(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    before = outputs(folder)
    result = CliRunner().invoke(main, ["run", str(folder)])
    assert result.exit_code == 0, result.output
    assert f"{folder}: all {len(TASKS)} tasks are done." in result.output
    assert "PLaD" in result.output
    assert outputs(folder) == before


def test_a_stage_command_runs_that_stage(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    result = CliRunner().invoke(main, ["report", str(folder), "--force", "--json"])
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.output.splitlines()]
    assert [event["name"] for event in events if event["event"] == "task"] == ["report"]


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "prepare"])
def test_a_stage_before_its_inputs(stage: str, tiny_recipe: Path, tmp_path: Path) -> None:
    empty = tmp_path / "run"
    empty.mkdir()
    (empty / "recipe.yaml").write_bytes(tiny_recipe.read_bytes())
    result = CliRunner().invoke(main, [stage, str(empty)])
    assert result.exit_code == 2
    needs = f"error: {stage} needs the stages before it, but prepare/check is not done. Run `plad run` on the folder."
    assert needs in result.output


def test_stages_one_after_another_make_a_run(tiny_recipe: Path, finished_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_bytes(tiny_recipe.read_bytes())
    for stage in STAGES:
        result = CliRunner().invoke(main, [stage, str(folder)])
        assert result.exit_code == 0, result.output
    assert differing(folder, finished_run) <= REPORTS


def test_init_writes_a_recipe_that_loads(tmp_path: Path) -> None:
    from plad.config import load_recipe

    recipe, data = tmp_path / "own.yaml", tmp_path / 'my "own" {data}: #1.jsonl'
    result = CliRunner().invoke(
        main, ["init", str(recipe), "--data", str(data), "--teacher", "a/b", "--student", "c/d"]
    )
    assert result.exit_code == 0, result.output
    assert f"plad run {recipe}" in result.output
    assert str(recipe) in recipe.read_text()
    loaded = load_recipe(recipe)
    assert loaded.task.source.path == str(data)
    assert (loaded.teacher.model.path, loaded.student.model.path) == ("a/b", "c/d")
    again = CliRunner().invoke(main, ["init", str(recipe)])
    assert again.exit_code == 2
    assert f"{recipe} is there already. Choose another name, or remove it." in again.output


def test_init_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "new" / "own.yaml")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "new" / "own.yaml").is_file()


def test_the_recipe_of_init_runs_on_small_models(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows())
    recipe = tmp_path / "own.yaml"
    CliRunner().invoke(main, ["init", str(recipe), "--data", str(data)])
    tiny = "{type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 320, context: 640}"
    settings = [f"teacher.model={tiny}", f"student.model={tiny}", "prompt.chat=false", "evaluate.judge={type: length}"]
    settings += ["teacher.sft={max_steps: 40, batch_size: 4, learning_rate: 0.01}", "distill.max_steps=2"]
    settings += ["student.sft={max_steps: 30, batch_size: 4, learning_rate: 0.01}", "sample.max_new_tokens=24"]
    settings += ["task.splits={near_duplicates: null, train: 0.4, distill: 0.4, validation: 0.1, test: 0.1}"]
    arguments = ["run", str(recipe), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments + [part for setting in settings for part in ("--set", setting)])
    assert result.exit_code == 0, result.output
    assert list(finished(tmp_path / "run")) == TASKS


def test_an_unknown_command_or_option_is_clicks_own_error() -> None:
    assert "No such command 'rum'" in run_plad("rum").stderr
    assert "Did you mean '--set'?" in run_plad("run", "x.yaml", "--sett", "a=1").stderr


def test_control_c_says_that_nothing_is_lost(tiny_recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [*PLAD, "run", str(tiny_recipe), "--out", str(folder), "--json", "--set", "teacher.sft.max_steps=100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not list(folder.glob(".work/sft-teacher-*/checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.split("\n") == [
        "",
        "finishing the step that is under way; Ctrl-C again stops at once",
        "stopped; the same command continues where it was.",
        "",
    ]
    assert all(json.loads(line) for line in out.splitlines())
    assert list(finished(folder)) == ["prepare/check", "prepare"]
    assert (status(folder).state, status(folder).doing) == ("stopped", "sft/teacher")
