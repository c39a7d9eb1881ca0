"""The table over seeds: numbers by hand from files made by hand, and the whole study on a tiny run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_run import times

from plad.cli import main
from plad.errors import PladError
from plad.runs import Run
from plad.studies.render import csv_table, markdown_table
from plad.studies.table1 import collect

LABELS = {"teacher": "Teacher", "student": "Initial student", "dpo": "DPO", "plad": "PLaD"}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def made(folder: Path, scores: dict[str, list[float]], seconds: float = 2.0) -> Run:
    """A run folder whose judge gave these scores, and 0.5 to every reference."""
    rows = [{"name": name, "label": LABELS[name]} for name in scores]
    (folder / "evaluation").mkdir(parents=True)
    beside = [{"name": "length", "description": "number of words"}]
    results = {"subject": "plad", "scorer": {"name": "rouge"}, "rows": rows, "scorers": beside}
    (folder / "evaluation" / "results.json").write_text(json.dumps(results))
    for name, values in scores.items():
        lines = [
            {"id": str(k), "response": "r", "score": value, "reference_score": 0.5, "words": k + 1}
            | {"rouge1": 0.5, "rouge2": 0.25, "rougeL": 0.5}
            for k, value in enumerate(values)
        ]
        write_rows(folder / "evaluation" / f"{name}.jsonl", lines)
        # The other scorer says the opposite, and 0.25 of every reference.
        told = [{"id": str(k), "score": 1 - value, "reference_score": 0.25} for k, value in enumerate(values)]
        write_rows(folder / "evaluation" / "scores" / "length" / f"{name}.jsonl", told)
    for name, logps in {"student": [-1, -2, -3], "plad": [-3, -2, -1]}.items():
        # Of the two prompts the second's samples are worth the same, and say nothing.
        samples = [
            {"id": prompt, "sample": k, "response": "r", "logp": logp, "score": worth[k]}
            for prompt, worth in (("0", [0.1, 0.5, 0.9]), ("1", [0.5, 0.5, 0.5]))
            for k, logp in enumerate(logps)
        ]
        write_rows(folder / "evaluation" / "calibration" / f"{name}.jsonl", samples)
    summary = {"tokens": 1000 * seconds, "generated": 70, "flops": 3e12, "memory": 8e6 * seconds}
    spent = {"seconds": seconds, "processor": 2 * seconds}
    tasks = {f"distill/{name}": {**spent, "summary": summary} for name in ("dpo", "plad")}
    (folder / "manifest.json").write_text(json.dumps({"tasks": tasks}))
    return Run(folder)


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """PLaD wins 3½ of 4 and 3 of 4 against the reference, DPO 1 and 1½; the teacher beats the student on 6 of 8."""
    ones, twos = [0.0] * 4, [0.4] * 4
    first = {"teacher": [1.0] * 4, "student": ones, "dpo": [0.9, 0.1, 0.1, 0.1], "plad": [0.9, 0.9, 0.9, 0.5]}
    second = {"teacher": [1.0, 1.0, 0, 0], "student": twos, "dpo": [0.1, 0.1, 0.5, 0.9], "plad": [0.1, 0.9, 0.9, 0.9]}
    runs = [made(tmp_path / "a", first), made(tmp_path / "b", second, seconds=3.0)]
    return {"seeds": [1, 2], **collect(runs)}


def test_numbers_are_means_over_the_seeds(table: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in table["rows"]}
    assert table["n"] == 8
    assert table["teacher_student"]["value"] == 6 / 8
    assert rows["plad"]["win_rate"]["value"] == 6.5 / 8
    assert rows["plad"]["win_rate_by_seed"] == [3.5 / 4, 3 / 4]
    assert rows["dpo"]["win_rate"]["value"] == 2.5 / 8
    assert rows["dpo"]["words"]["value"] == 2.5
    assert rows["dpo"]["seconds"] == 2.5
    assert rows["dpo"]["processor"] == 5
    assert rows["dpo"]["tokens"] == 2500
    assert rows["dpo"]["generated"] == 70
    assert rows["dpo"]["memory"] == 20e6
    # Over the student's 0 in the first seed, and its 0.4 in the second: 4 of 4, and 2 of 4.
    assert rows["dpo"]["against_initial"]["value"] == 6 / 8
    assert rows["dpo"]["against_initial"]["by_seed"] == [1, 2 / 4]
    assert rows["student"]["against_initial"] is None
    assert rows["teacher"]["seconds"] is None


def test_the_difference_to_the_subject_is_paired(table: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in table["rows"]}
    assert rows["plad"]["against_subject"] is None
    # DPO's wins less PLaD's, by prompt: 0 −1 −1 −½ and 0 −1 −½ 0.
    difference = rows["dpo"]["against_subject"]
    assert difference["value"] == -4 / 8
    assert difference["significant"]
    assert -1 <= difference["low"] < -0.5 < difference["high"] < 0
    assert not rows["teacher"]["against_subject"]["significant"], "6 of 8 against 6½"


def test_other_scorers_stand_beside_the_judge(table: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in table["rows"]}
    assert table["scorers"] == [{"name": "length", "description": "number of words"}]
    # What it makes of DPO: 0.1 0.9 0.9 0.9 and 0.9 0.9 0.5 0.1; of the initial student: four of 1, four of 0.6.
    dpo = rows["dpo"]["scores"]["length"]
    assert dpo["mean"]["value"] == pytest.approx(5.2 / 8)
    assert dpo["win_rate"]["value"] == 6 / 8
    assert dpo["against_initial"]["value"] == 2 / 8
    assert rows["student"]["scores"]["length"]["against_initial"] is None


def test_calibration_is_of_the_models_that_were_asked(table: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in table["rows"]}
    # The likelier the worse, and the likelier the better, on the one prompt of a seed where samples differ.
    assert rows["student"]["calibration"]["pairwise_accuracy"]["value"] == 0
    assert rows["plad"]["calibration"]["pairwise_accuracy"] == {"value": 1, "low": 1, "high": 1, "n": 2}
    assert rows["plad"]["calibration"]["rank_correlation"]["value"] == 1
    assert rows["dpo"]["calibration"] is None


def test_the_processors_time_of_a_seed_is_that_of_its_tasks(table: dict[str, Any]) -> None:
    assert table["processor"] == (2 * 4 + 2 * 6) / 2


def test_a_run_that_did_not_record_it_has_none(tmp_path: Path) -> None:
    run = made(tmp_path / "a", {"teacher": [1.0], "student": [0.0], "plad": [1.0]})
    manifest = json.loads((run.folder / "manifest.json").read_text())
    del manifest["tasks"]["distill/dpo"]["processor"]
    (run.folder / "manifest.json").write_text(json.dumps(manifest))
    assert collect([run])["processor"] is None


def test_warnings_of_a_run_come_with_the_table(tmp_path: Path) -> None:
    answers = {"teacher": [1.0], "student": [0.0], "plad": [1.0]}
    runs = [made(tmp_path / name, answers) for name in ("seed-1", "seed-2")]
    results = runs[1].folder / "evaluation" / "results.json"
    results.write_text(json.dumps(json.loads(results.read_text()) | {"warnings": ["PLaD hardly answers any more."]}))
    table = {"seeds": [1, 2], **collect(runs)}
    assert table["warnings"] == [{"run": "seed-2", "told": ["PLaD hardly answers any more."]}]
    assert markdown_table(table).endswith("\n\nWarnings:\n\n- seed-2: PLaD hardly answers any more.\n")


def test_markdown_and_csv_hold_the_same_numbers(table: dict[str, Any]) -> None:
    text = markdown_table(table)
    assert text.startswith("**T-S WR 75.0 (")
    assert "8 test prompts in all · seeds 1, 2 · judge rouge" in text
    assert "judge rouge · 10 s of the processor a seed" in text
    dpo, dpo_beside = [line for line in text.splitlines() if line.startswith("| DPO ")]
    cells = [cell.strip() for cell in dpo.strip("|").split("|")]
    assert cells[1].startswith("2.5 (")
    assert [cell.split(" ")[0] for cell in cells[2:6]] == ["50.0", "25.0", "50.0", "31.2"]
    assert cells[6] == "25.0, 37.5"
    assert cells[7].startswith("-50.0 (")
    assert cells[7].endswith(r"\*")
    assert cells[8].startswith("75.0 (")
    assert cells[9:] == ["2", "5", "2,500", "70", "3.0", "20"]
    beside = [cell.strip() for cell in dpo_beside.strip("|").split("|")]
    assert [cell.split(" ")[0] for cell in beside[1:]] == ["0.65", "25.0", "–", "–"]
    assert "length: number of words." in text
    rows = {row["name"]: row for row in csv.DictReader(csv_table(table).splitlines())}
    assert float(rows["dpo"]["win_rate"]) == 2.5 / 8
    assert float(rows["dpo"]["against_subject"]) == -0.5
    assert rows["dpo"]["win_rate_by_seed"] == "0.25 0.375"
    assert float(rows["dpo"]["length_against_initial"]) == 2 / 8
    assert (rows["plad"]["pairwise_accuracy"], rows["dpo"]["pairwise_accuracy"]) == ("1.0", "")
    assert float(rows["dpo"]["memory"]) == 20e6
    assert rows["plad"]["against_subject"] == ""


def test_runs_of_other_models_make_no_table(tmp_path: Path) -> None:
    one = made(tmp_path / "a", {"teacher": [1.0], "student": [0.0], "plad": [1.0]})
    two = made(tmp_path / "b", {"teacher": [1.0], "student": [0.0], "dpo": [0.0], "plad": [1.0]})
    with pytest.raises(PladError, match="the same models for every seed"):
        collect([one, two])


def test_a_study_continues_what_is_there(tiny_recipe: Path, copy_of_run: Callable[[], Path], tmp_path: Path) -> None:
    """Its run of seed 1 is that of `plad run`, so that only the new method is trained, and the second time nothing."""
    out = tmp_path / "study"
    out.mkdir()
    copy_of_run().rename(out / "seed-1")
    trained = times(out / "seed-1")
    command = ["study", "table1", str(tiny_recipe), "--out", str(out), "--methods", "dpo", "--seeds", "1"]
    first = CliRunner().invoke(main, command)
    assert first.exit_code == 0, first.output
    written = times(out / "seed-1")
    assert {name for name in written if name.startswith("models/dpo/")}
    assert {name for name in trained if name.startswith("models/") and trained[name] != written[name]} == set()
    second = CliRunner().invoke(main, [*command, "--json"])
    assert second.exit_code == 0, second.output
    assert times(out / "seed-1") == written
    table = json.loads(second.stdout.splitlines()[-1])
    assert table == {"event": "table", **json.loads((out / "table1.json").read_text())}
    assert [row["name"] for row in table["rows"]] == ["teacher", "student", "sft", "seqkd", "dpo", "plad"]
    assert all(row["seconds"] > 0 for row in table["rows"])
    assert all(row["processor"] >= 0 for row in table["rows"])
    assert (out / "table1.md").read_text().count("\n| ") == 2 * (2 + 6), "the judge's, and what stands beside it"
    calibrated = {row["name"] for row in table["rows"] if row["calibration"]}
    assert calibrated == {"student", "plad"}
    assert "<svg" in (out / "table1.html").read_text()


@pytest.mark.parametrize(
    ("seeds", "message"), [("1,x", "takes whole numbers"), ("2,2", "each once, but has [2, 2]"), ("", "whole numbers")]
)
def test_seeds_that_make_no_sense(seeds: str, message: str, tiny_recipe: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["study", "table1", str(tiny_recipe), "--seeds", seeds, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.output
