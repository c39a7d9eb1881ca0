"""What a user can get wrong, through the command line: a clear error before any training, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_run import RECIPE, TASKS, different, finished, offline, outputs, rows, write_recipe, write_rows

from plad.cli import main


def plad(*arguments: object) -> Result:
    """The command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(folder: Path, result: Result) -> str:
    """What the user reads: one error on exit 2, before anything was trained."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert set(finished(folder)) <= {"prepare/check", "prepare"}
    [error] = [line for line in result.output.splitlines() if line.startswith("error: ")]
    return error


def refused_with(tmp_path: Path, *overrides: str, text: str = RECIPE, data: Path | None = None) -> str:
    settings = [part for override in overrides for part in ("--set", override)]
    recipe = write_recipe(tmp_path / "in", text, data)
    return refused(tmp_path / "run", plad("run", recipe, "--out", tmp_path / "run", *settings))


def test_a_typo_in_the_recipe_leaves_no_folder(tmp_path: Path) -> None:
    error = refused_with(tmp_path, text=RECIPE.replace("distill: {", "distil: {"))
    assert "line 13: distil: unknown key. Did you mean 'distill'?" in error
    assert not (tmp_path / "run").exists()


def test_the_broken_line_is_named(tmp_path: Path) -> None:
    some = [{"prompt": f"prompt {i}", "reference": f"answer {i}"} for i in range(5000)]
    data = write_rows(tmp_path / "data.jsonl", [*some[:4710], '{"prompt": "cut', *some[4711:]])
    error = refused_with(tmp_path, data=data)
    assert f"{data}, line 4711: not JSON (Unterminated string" in error
    assert "Each line must be one JSON object." in error


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": " ", "reference": "x"}, "line 91: 'prompt' must not be empty, but is ' '. Fill or drop the row."),
        (
            {"prompt": 3, "reference": "x"},
            "line 91: 'prompt' must hold text or a list of messages, but holds '3' (int).",
        ),
        (
            {"promt": "p", "reference": "x"},
            "line 91: no column 'prompt'; there are promt, reference. Did you mean 'promt'?",
        ),
        (
            {"prompt": "word " * 65, "reference": "x"},
            "a prompt may have 64 tokens (prompt.max_prompt_tokens), but this one",
        ),
    ],
)
def test_a_bad_row(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    data = write_rows(tmp_path / "data.jsonl", [*rows(), row])
    assert message in refused_with(tmp_path, data=data)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    error = refused_with(tmp_path, "task.source.columns={prompt: prompt, reference: summary}")
    assert "line 1: no column 'summary'; there are prompt, reference." in error
    assert "Set `columns` to the names of the table." in error


def test_references_that_are_not_there(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", [{"prompt": row["prompt"]} for row in rows()])
    error = refused_with(tmp_path, data=data)
    assert "training and evaluation compare with references, but" in error
    assert "Name the column that holds them in task.source." in error


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "holds no example, but a task needs some."),
        (1, "each split needs an example, but"),
        (3, "of 3 examples are left without duplicates. Give more data"),
    ],
)
def test_hardly_any_examples(tmp_path: Path, count: int, message: str) -> None:
    assert message in refused_with(tmp_path, data=write_rows(tmp_path / "data.jsonl", rows()[:count]))


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert f"no file '{tmp_path / 'gone.jsonl'}'." in refused_with(tmp_path, data=tmp_path / "gone.jsonl")


def test_limits_beyond_the_context_are_refused_with_the_numbers(tmp_path: Path) -> None:
    error = refused_with(tmp_path, "student.model.context=72")
    assert (
        "student.model: the student has a context of 72 tokens, but prompts of 64 (prompt.max_prompt_tokens) and "
        in error
    )
    assert "responses of 16 (prompt.max_response_tokens or max_new_tokens) need 80. Lower one of them." in error


def save_config(folder: Path, kind: str, **settings: Any) -> Path:
    from transformers import AutoConfig

    AutoConfig.for_model(kind, **settings).save_pretrained(folder)
    (folder / "model.safetensors").touch()
    return folder


@pytest.mark.parametrize("role", ["teacher", "student"])
@pytest.mark.parametrize("kind", ["bert", "vit"])
def test_a_model_of_the_wrong_kind(tmp_path: Path, role: str, kind: str) -> None:
    folder = save_config(tmp_path / kind, kind)
    error = refused_with(tmp_path, f"{role}.model={{type: pretrained, path: {folder}}}")
    assert (
        f"{role}.model: teacher and student must be models that generate text, but {folder} is a {kind} model." in error
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_that_is_not_there(tmp_path: Path, role: str) -> None:
    error = refused_with(tmp_path, f"{role}.model={{type: pretrained, path: ./nowhere}}")
    assert (
        f"{role}.model: a model must be a hub id or a folder with a config.json, but ./nowhere is not there." in error
    )


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_context_too_small_by_the_models_own_config(tmp_path: Path, role: str) -> None:
    folder = save_config(tmp_path / "neo", "gpt_neo", max_position_embeddings=40)
    error = refused_with(tmp_path, f"{role}.model={{type: pretrained, path: {folder}}}")
    assert f"{role}.model: the {role} has a context of 40 tokens" in error
    assert finished(tmp_path / "run") == {}


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "in")
    setting = "teacher.model={type: pretrained, path: nobody/no-such-model}"
    command = [sys.executable, "-m", "plad", "run", str(recipe), "--out", str(tmp_path / "run"), "--set", setting]
    ended = subprocess.run(command, env=offline(), capture_output=True, text=True, timeout=200)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "error: teacher.model: nobody/no-such-model cannot be read as a model: " in ended.stderr
    assert "Check the name, the network and your access, or give a folder." in ended.stderr
    assert finished(tmp_path / "run") == {}


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ("{type: reward_model, model: ./nowhere}", "evaluate.judge: ./nowhere does not load: "),
        (
            "{type: bradley_terry, model: 'package:no_such_package'}",
            "evaluate.judge: package:no_such_package needs the Py",
        ),
        (
            "{type: bradley_terry, folder: ./nowhere}",
            "evaluate.judge: a trained judge is a folder with scorer.json, but",
        ),
    ],
)
def test_a_judge_that_cannot_judge_is_found_out_before_training(tmp_path: Path, judge: str, message: str) -> None:
    assert message in refused_with(tmp_path, f"evaluate.judge={judge}")


def test_a_pair_scorer_that_cannot_score_is_found_out_before_training(tmp_path: Path) -> None:
    error = refused_with(tmp_path, "distill.loss.type=margin", "pairs.scorer={type: bradley_terry}")
    assert "pairs.scorer: a bradley_terry scorer scores after training, but it names no folder." in error


@pytest.mark.parametrize(
    "override", ["distill.loss.margin", "=1", "distill..loss=1", "seed=[", "seed.x=1", "sed=1", "distill.loss=5"]
)
def test_nonsense_in_set(tmp_path: Path, override: str) -> None:
    assert "--set" in refused_with(tmp_path, override)
    assert not (tmp_path / "run").exists()


def test_finished_work_is_kept_when_a_later_setting_is_wrong(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    before, tasks = outputs(folder), finished(folder)
    result = plad("run", folder, "--set", "distill.loss.type=margin")
    assert result.exit_code == 2
    result = plad("run", folder, "--set", "evaluate.judge={type: reward_model, model: ./nowhere}")
    assert result.exit_code == 2
    assert different(before, outputs(folder)) <= {"recipe.yaml"}
    kept = {name for name in tasks if name != "prepare/check"}
    assert {name: finished(folder).get(name) for name in kept} == {name: tasks[name] for name in kept}


@pytest.mark.parametrize(
    "content", ['{"tasks": {"prep', "", "[1, 2]", "7", '{"tasks": 3}', '{"tasks": {"prepare": 3}}']
)
def test_a_damaged_manifest(copy_of_run: Callable[[], Path], content: str) -> None:
    folder = copy_of_run()
    manifest = folder / "manifest.json"
    manifest.write_text(content)
    before = outputs(folder)
    result = plad("run", folder)
    assert result.exit_code == 2, result.output
    assert f"error: {manifest} is damaged (" in result.output
    assert "Delete it to run every stage again; models and outputs stay until then." in result.output
    assert outputs(folder) == before
    assert manifest.read_text() == content


def test_a_folder_in_use(copy_of_run: Callable[[], Path]) -> None:
    from plad.runs import Run

    folder = copy_of_run()
    before = outputs(folder)
    holder = "import sys, time; from pathlib import Path; from plad.runs import Run\n"
    holder += "with Run(Path(sys.argv[1])).lock(): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        result = plad("run", folder)
    finally:
        process.kill()
        process.wait()
    assert result.exit_code == 2
    assert f"{folder} is in use by process {process.pid} on " in result.output
    assert "Wait for it, stop it, or choose another folder with --out." in result.output
    assert outputs(folder) == before
    # The lock went with the process.
    with Run(folder).lock():
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many bytes of the disk."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(b"\0" * max(0, free - leave))
    return ballast


# Room for no file at all, for the data but no model, and for models but not for all of them.
@pytest.mark.parametrize("leave", [0, pytest.param(100_000, marks=pytest.mark.slow), 400_000])
def test_a_full_disk_loses_nothing(small_disk: Path, finished_run: Path, tiny_recipe: Path, leave: int) -> None:
    folder = small_disk / "run"
    ballast = fill(small_disk, leave)
    result = plad("run", tiny_recipe, "--out", folder)
    assert result.exit_code == 2, result.output
    assert f"error: a run needs room on disk, but the disk that holds {folder} is full." in result.output
    assert "Free some space and run the same command again: it continues." in result.output
    kept = list(finished(folder))
    assert kept == TASKS[: len(kept)]
    assert len(kept) < len(TASKS)

    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    result = plad("run", tiny_recipe, "--out", folder)
    assert result.exit_code == 0, result.output
    assert finished(folder).keys() == set(TASKS)
    weights = "models/plad/adapter_model.safetensors"
    assert outputs(folder)[weights] == outputs(finished_run)[weights]


def test_a_debugger_gets_the_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plad", "--debug", "run", str(tmp_path / "gone.yaml")]
    ended = subprocess.run(command, env=offline(), capture_output=True, text=True, timeout=100)
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "plad.errors.PladError: there is no recipe" in ended.stderr


def test_json_lines_stay_json_when_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "in", data=write_rows(tmp_path / "data.jsonl", []))
    result = CliRunner().invoke(main, ["run", str(recipe), "--out", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 2
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()][:2] == ["plan", "task"]
    assert result.stderr.startswith("error: ")
