from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_run import TASKS

from plad.cli import main

Copy = Callable[[], Path]


def plad(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_status(finished_run: Path) -> None:
    told = plad("status", finished_run).output
    assert told.startswith(f"{finished_run}: finished, {len(TASKS)} of {len(TASKS)} tasks done\n")
    assert "  ✓  distill   3/3" in told
    assert told.endswith(f"next: plad show {finished_run}\n")
    found = json.loads(plad("status", finished_run, "--json").output)
    assert (found["event"], found["state"], found["done"], found["of"]) == ("status", "finished", 20, 20)


def test_status_of_a_run_that_failed(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["tasks"]["distill/plad"]
    manifest["doing"] = {"task": "distill/plad", "ended": "failed", "reason": "it diverged\x1b[2J"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    told = plad("status", folder).output
    assert f"{folder}: failed, 19 of 20 tasks done\n  it diverged\\x1b[2J\n" in told
    assert "  ✗  distill   2/3" in told
    assert told.endswith(f"next: plad run {folder}\n")


def test_list(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run, tmp_path / "runs" / "done")
    new = tmp_path / "runs" / "new"
    new.mkdir()
    shutil.copy(finished_run / "recipe.yaml", new)
    rows = [line.split() for line in plad("list", "runs").output.splitlines() if "runs" in line]
    assert [row[1:3] for row in rows] == [["finished", "20/20"], ["not", "begun"]]
    found = [json.loads(line) for line in plad("list", tmp_path / "runs", "--json").output.splitlines()]
    assert [(one["folder"], one["state"]) for one in found] == [
        (str(new.parent / "done"), "finished"),
        (str(new), "not begun"),
    ]
    missing = plad("list", tmp_path / "nowhere")
    assert missing.exit_code == 2
    assert "with runs in it" in missing.output


def test_show_one_example(finished_run: Path) -> None:
    prompt = read(finished_run / "data" / "test.jsonl")[1]
    answers = {name: read(finished_run / "evaluation" / f"{name}.jsonl")[1] for name in ("teacher", "student", "plad")}
    for asked in ("2", prompt["id"]):
        found = json.loads(plad("show", finished_run, "--example", asked, "--json").output)
        assert (found["number"], found["id"]) == (2, prompt["id"])
        assert (found["prompt"], found["reference"]) == (prompt["prompt"], prompt["reference"])
        assert [row["model"] for row in found["answers"]] == ["teacher", "student", "plad", "sft", "seqkd"]
        for row in found["answers"][:3]:
            assert {key: row[key] for key in answers[row["model"]] if key != "id"} == {
                key: value for key, value in answers[row["model"]].items() if key != "id"
            }
    told = plad("show", finished_run, "--example", "2").output
    parts = [
        f"Example 2: {prompt['id']}",
        prompt["prompt"],
        "Reference",
        "Teacher",
        "Initial student, before",
        "PLaD, after",
    ]
    places = [told.index(part) for part in parts]
    assert places == sorted(places)


def test_an_example_that_is_not_there(finished_run: Path, tmp_path: Path) -> None:
    for asked in ("0", "16", "nobody"):
        told = plad("show", finished_run, "--example", asked)
        assert told.exit_code == 2
        assert f"an example is an id or a number from 1 to 15, but this is '{asked}'." in told.output
    shutil.copy(finished_run / "recipe.yaml", tmp_path)
    assert "has none yet" in plad("show", tmp_path, "--example", "1").output
    assert "has none yet" in plad("show", tmp_path).output


def test_what_a_model_says_does_not_move_the_cursor(copy_of_run: Copy) -> None:
    file = (folder := copy_of_run()) / "evaluation" / "plad.jsonl"
    rows = read(file)
    rows[0]["response"] = "\x1b[2J\x1b]0;owned\x07[bold]café 漢字\u202e\nline two"
    write(file, rows)
    told = "\n".join(line.rstrip() for line in plad("show", folder, "--example", "1").output.splitlines())
    assert "\\x1b[2J\\x1b]0;owned\\x07[bold]café 漢字\\u202e\n  line two" in told
    assert not set("\x1b\x07\u202e") & set(told)


def test_show_the_results(finished_run: Path) -> None:
    results = json.loads((finished_run / "evaluation" / "results.json").read_text())
    assert json.loads(plad("show", finished_run, "--json").output)["rows"] == results["rows"]
    assert "SFT, continued" in plad("show", finished_run).output


def test_diff(finished_run: Path, copy_of_run: Copy) -> None:
    folder = copy_of_run()
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("margin: 1.0", "margin: 0.25"))
    for place, score in ((finished_run, None), (folder, 2.0)):
        rows = read(place / "evaluation" / "plad.jsonl")
        assert all(row["score"] < row["reference_score"] for row in rows), "a tiny model never wins"
        if score:
            # In B the student wins on 3 of 15 prompts, in A on none.
            write(
                place / "evaluation" / "plad.jsonl",
                [row | {"score": score} if n < 3 else row for n, row in enumerate(rows)],
            )
    found = json.loads(plad("diff", finished_run, folder, "--json").output)
    assert found["recipe"] == [{"key": "distill.loss.margin", "a": 1.0, "b": 0.25}]
    assert (found["versions"], found["apart"]) == ([], [])
    by_name = {row["name"]: row for row in found["models"]}
    assert by_name["plad"]["difference"]["value"] == pytest.approx(3 / 15)
    assert by_name["sft"]["difference"]["value"] == 0
    # The answers are equal but for those three: 3 wins, 12 ties.
    assert (by_name["plad"]["versus"]["wins"], by_name["plad"]["versus"]["ties"]) == (3, 12)
    told = plad("diff", finished_run, folder).output
    assert "distill.loss.margin  1.0  0.25" in told
    assert "+20.0" in told


def test_diff_of_runs_that_cannot_be_compared(finished_run: Path, copy_of_run: Copy) -> None:
    folder = copy_of_run()
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("metric: rougeL", "metric: rouge1"))
    found = json.loads(plad("diff", finished_run, folder, "--json").output)
    assert found["apart"] == ["Their judges differ, so that a win in one is not a win in the other."]
    assert all(row["versus"] is None and row["difference"] for row in found["models"])
    write(folder / "data" / "test.jsonl", read(folder / "data" / "test.jsonl")[:-1])
    found = json.loads(plad("diff", finished_run, folder, "--json").output)
    assert found["apart"][0].startswith("Their test prompts differ")
    assert all(row["difference"] is None for row in found["models"])
    assert "but both of these are" in plad("diff", folder, folder).output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    told = plad("completion", shell).output
    assert f"_PLAD_COMPLETE={shell}_complete" in told
    words = {"bash": "plad sta", "zsh": "plad sta", "fish": "plad sta"}[shell]
    environment = {
        "_PLAD_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": "1" if shell != "fish" else "sta",
    }
    code = "from plad.cli import main; main(prog_name='plad')"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )
    assert "status" in ended.stdout
    assert "sample" not in ended.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_takes_the_script() -> None:
    script = plad("completion", "bash").output + "\ncomplete -p plad\n"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "complete -o nosort -F _plad_completion plad\n", ended.stderr


def test_an_error_that_nobody_foresaw_has_no_traceback(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("plad.status.status", broken)
    told = plad("status", finished_run)
    assert (told.exit_code, told.stdout) == (1, "")
    assert (
        told.stderr
        == "error: ZeroDivisionError: by nought\nNobody foresaw this. `plad --debug …` shows where it comes from.\n"
    )
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(main, ["--debug", "status", str(finished_run)], catch_exceptions=False)
