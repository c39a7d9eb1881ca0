"""`plad evaluate --model A --model B --data F`: models, adapters and files of outputs, without a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_run import write_rows

from plad.cli import main

PROMPTS = [{"prompt": f"say {n}", "reference": "one two three"} for n in range(12)]


def plad(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "data.jsonl", PROMPTS)


def outputs(folder: Path, name: str, texts: list[str], **columns: Any) -> Path:
    some = [{"prompt": row["prompt"], "response": text, **columns} for row, text in zip(PROMPTS, texts, strict=True)]
    return write_rows(folder / name, some)


def test_files_of_outputs_by_hand(data: Path, tmp_path: Path) -> None:
    a = outputs(tmp_path, "a.jsonl", ["one two"] * 8 + ["one"] * 2 + [""] * 2)
    b = outputs(tmp_path, "b.jsonl", ["one"] * 12)
    out = tmp_path / "out"
    result = plad("--model", a, "--model", b, "--data", data, "--judge", "length", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["n"] == 12
    (pair,) = told["pairs"]
    assert (pair["wins"], pair["ties"], pair["losses"]) == (8, 2, 2)
    assert pair["win_rate"]["value"] == 9 / 12
    # 2·(1 + 10 + 45)/1024 of 8 wins in 10.
    assert pair["p"] == pytest.approx(112 / 1024)
    assert [row["win_rate"]["value"] for row in told["models"]] == [0.0, 0.0]
    assert told["models"][0]["words"]["value"] == pytest.approx(18 / 12)


def test_the_table_has_intervals(data: Path, tmp_path: Path) -> None:
    a, b = outputs(tmp_path, "a.jsonl", ["one two"] * 12), outputs(tmp_path, "b.jsonl", ["one"] * 12)
    result = plad("--model", a, "--model", b, "--data", data, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    assert "100.0" in shown
    assert "12 prompts, judged by ROUGE-L F1" in shown
    assert "p < 0.001" in shown


def test_models_adapters_and_files_side_by_side_and_nothing_twice(
    finished_run: Path, data: Path, tmp_path: Path
) -> None:
    models = [finished_run / "models" / "student", finished_run / "models" / "plad"]
    models.append(outputs(tmp_path, "c.jsonl", ["one two three"] * 12))
    arguments = [part for model in models for part in ("--model", model)]
    arguments += ["--data", data, "--out", tmp_path / "out", "--set", "sampling.max_new_tokens=8", "--json"]
    result = plad(*arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert [(row["a"], row["b"]) for row in told["pairs"]] == [
        (str(models[0]), str(models[1])),
        (str(models[0]), str(models[2])),
        (str(models[1]), str(models[2])),
    ]
    # The file repeats the references: it ties with them, and nobody beats it by ROUGE.
    assert told["models"][2]["win_rate"]["value"] == 0.5
    assert told["pairs"][1]["wins"] == 0
    written = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("outputs-*.jsonl")}
    assert len(written) == 2
    # Cut short, as by a crash: only what is missing is asked again, with the same result.
    file = tmp_path / "out" / min(written)
    file.write_bytes(file.read_bytes()[:-7])
    assert json.loads(plad(*arguments).stdout.splitlines()[-1]) == told


def test_outputs_are_found_by_id_too(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", [{"id": n, "prompt": f"say {n}"} for n in range(3)])
    a = write_rows(tmp_path / "a.jsonl", [{"id": str(n), "response": "x " * n} for n in (2, 0, 1)])
    b = write_rows(tmp_path / "b.jsonl", [{"prompt": f"say {n}", "response": "x"} for n in range(3)])
    found = plad("--model", a, "--model", b, "--data", data, "--judge", "length", "--out", tmp_path / "o", "--json")
    told = json.loads(found.stdout.splitlines()[-1])
    assert [told["pairs"][0][name] for name in ("wins", "ties", "losses")] == [1, 1, 1]
    assert told["models"][0]["win_rate"] is None  # there are no references


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "A"], "takes no RUN. Give --data alone"),
        ([], "takes a run folder or a recipe; or --model A --model B"),
        (["--model", "A", "--data", "D"], "two different models or more, but got"),
        (["--model", "A", "--model", "B", "--data", "D"], "1 of 12 have no output, such as"),
        (["--model", "A", "--model", "A2", "--data", "D", "--judge", "lenght"], "takes a scorer, such as length"),
        (["--model", "A", "--model", "A2", "--data", "D", "--judge", "bradley_terry"], "scores after training"),
        (["--model", "A", "--model", "A2", "--data", "D", "--set", "sede=1"], "evaluate: sede: Extra inputs"),
    ],
)
def test_mistakes_have_their_remedy(data: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    files = {"A": outputs(tmp_path, "a.jsonl", ["x"] * 12), "A2": outputs(tmp_path, "a2.jsonl", ["y"] * 12), "D": data}
    files["B"] = write_rows(tmp_path / "b.jsonl", [{"prompt": f"say {n}", "response": "x"} for n in range(11)])
    result = plad(*(files.get(argument, argument) for argument in arguments), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.output
