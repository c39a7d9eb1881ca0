"""The studies end to end at their smallest, each beginning from the finished tiny run; and their pieces by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from tiny_run import Recorder, finished, times

from plad.cli import main
from plad.commands.study import FIGURES
from plad.config import load_recipe
from plad.errors import PladError
from plad.records import EvalRow, PreferencePair, Prompt, read_jsonl
from plad.studies import FIGURES as STUDIES
from plad.studies.figure_page import finding
from plad.studies.figures import Figure, Point, csv_of, markdown_of
from plad.studies.lengths import bins

Study = Callable[..., tuple[Path, Mapping[str, Any]]]


@pytest.fixture
def study(tiny_recipe: Path, copy_of_run: Callable[[], Path], tmp_path: Path) -> Study:
    """Runs a study whose first cell is there already, twice: the second time nothing is worked."""

    def make(name: str, first: str, *options: str) -> tuple[Path, Mapping[str, Any]]:
        out = tmp_path / name
        out.mkdir()
        copy_of_run().rename(out / f"{first}-seed-1")
        command = ["study", name, str(tiny_recipe), "--out", str(out), "--json", *options]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        cells = {path: times(path) for path in out.iterdir() if path.is_dir()}
        again = CliRunner().invoke(main, command)
        assert again.exit_code == 0, again.output
        assert cells == {path: times(path) for path in cells}
        found = json.loads(again.stdout.splitlines()[-1])
        assert found == {"event": "table", **json.loads((out / f"{name}.json").read_text())}
        for drawing in out.glob("*.svg"):
            ElementTree.parse(drawing)
        rows = list(csv.DictReader((out / f"{name}.csv").open()))
        assert rows
        assert name in ("case", "beyond", "compute") or len(rows) == len(found["points"])
        assert "<svg" in (out / f"{name}.html").read_text()
        return out, found

    return make


def results(cell: Path) -> Mapping[str, Mapping[str, Any]]:
    rows = json.loads((cell / "evaluation" / "results.json").read_text())["rows"]
    return {row["name"]: row for row in rows}


def values(found: Mapping[str, Any], series: str) -> dict[Any, float]:
    return {point["x"]: point["value"] for point in found["points"] if point["series"] == series}


def test_real_pairs(study: Study) -> None:
    scorer = ("--set", "pairs.scorer={type: length}")
    out, found = study("real-pairs", "real-0", "--values", "0,1", *scorer)
    over = values(found, "over the initial student")
    for share in (0, 100):
        assert over[share] == results(out / f"real-{share}-seed-1")["plad"]["against_initial"]["value"]
    pairs = list(read_jsonl(out / "real-100-seed-1" / "pairs.jsonl", PreferencePair))
    assert all(len(pair.chosen.split()) >= len(pair.rejected.split()) for pair in pairs), "ordered by the scorer"
    models = [out / f"real-{share}-seed-1" / "models" / "teacher" / "model.safetensors" for share in (0, 100)]
    assert models[0].samefile(models[1]), "the teacher is trained once"


@pytest.mark.slow
def test_scaling(study: Study) -> None:
    out, found = study("scaling", "data-100", "--values", "1,0.5", "--set", "distill.max_steps=2")
    whole, half = (list(read_jsonl(out / f"data-{n}-seed-1" / "pairs.jsonl", PreferencePair)) for n in (100, 50))
    assert 0 < len(half) < len(whole)
    assert half == whole[: len(half)], "nested"
    assert set(values(found, "PLaD")) == {100, 50}
    assert len(set(values(found, "Teacher").values())) == 1
    over = json.loads((out / "scaling-initial.json").read_text())
    assert {point["series"] for point in over["points"]} == {"Teacher", "SFT, continued", "SeqKD", "PLaD"}
    assert values(over, "PLaD")[50] == results(out / "data-50-seed-1")["plad"]["against_initial"]["value"]
    assert over["note"].startswith("Win rates over the initial student")


def test_lengths(study: Study) -> None:
    out, found = study("lengths", "run")
    rows = {name: list(read_jsonl(out / "run-seed-1" / "evaluation" / f"{name}.jsonl", EvalRow)) for name in ("plad",)}
    counted = {point["x"]: point["n"] for point in found["points"] if point["series"] == "PLaD"}
    assert counted
    for label, n in counted.items():
        low, _, high = label.partition("–")
        assert n == sum(int(low) <= row.words <= int(high or low) for row in rows["plad"]) >= 8


def test_judges(study: Study, finished_run: Path, tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("{prompt} {first} {second}")
    model = {"path": str(finished_run / "models" / "teacher")}
    judge = {"type": "judge", "model": model, "rubric": str(rubric), "max_prompt_tokens": 128, "max_new_tokens": 4}
    out, found = study("judges", "run", "--set", f"evaluate.also={json.dumps([judge])}")
    assert "stands in for a large one" in found["note"]
    assert {point["series"] for point in found["points"]} == {"rouge (the judge)", "judge"}
    asked = (out / "run-seed-1" / "data" / "test.jsonl").read_text().count("\n")
    assert {point["n"] for point in found["points"]} == {asked}


def test_case(study: Study) -> None:
    out, found = study("case", "run", "--examples", "3")
    prompts = list(read_jsonl(out / "run-seed-1" / "data" / "test.jsonl", Prompt))
    assert found["examples"] == [prompt.id for prompt in prompts[:3]]
    page = (out / "case.html").read_text()
    assert page.count("<pre") == 3 + 2, "a source each, the recipe and the citation"
    assert len(list(csv.DictReader((out / "case.csv").open()))) == 5 * len(prompts)


@pytest.mark.slow
def test_families(study: Study) -> None:
    out, found = study(
        "families", "student-llama", "--set", "distill.max_steps=2", "--set", "evaluate.calibration=null"
    )
    assert set(values(found, "PLaD")) == {"llama", "t5"}
    config = json.loads((out / "student-t5-seed-1" / "models" / "student" / "config.json").read_text())
    assert config["model_type"] == "t5"
    models = [out / f"student-{name}-seed-1" / "models" / "teacher" / "model.safetensors" for name in ("llama", "t5")]
    assert models[0].samefile(models[1]), "the teacher is trained once"


@pytest.mark.slow
def test_ts_gap(study: Study) -> None:
    out, found = study("ts-gap", "sft-x1", "--values", "1,0.5", "--set", "evaluate.calibration=null")
    assert finished(out / "sft-x0.5-seed-1")["sft/student"]["summary"]["steps"] == 10
    assert [point["series"] for point in found["points"]] == ["fine-tuned × 1", "fine-tuned × 0.5"]


def test_every_study_is_a_command() -> None:
    assert list(FIGURES) == list(STUDIES)


def test_what_a_study_needs_is_missed_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    recipe = load_recipe(tiny_recipe)
    with pytest.raises(PladError, match=r"judges compares a scorer with a language model, but the recipe has rouge"):
        STUDIES["judges"](recipe, tmp_path / "study", [1], Recorder())
    with pytest.raises(PladError, match=r"pairs\.scorer is null"):
        STUDIES["real-pairs"](recipe, tmp_path / "study", [1], Recorder())
    with pytest.raises(PladError, match=r"each once, but has \[1, 1\]"):
        STUDIES["lengths"](recipe, tmp_path / "study", [1, 1], Recorder())
    without = load_recipe(tiny_recipe, ["student.sft=null"])
    with pytest.raises(PladError, match=r"student\.sft is null"):
        STUDIES["ts-gap"](without, tmp_path / "study", [1], Recorder())
    with pytest.raises(PladError, match="a student's name names folders"):
        STUDIES["families"](recipe, tmp_path / "study", [1], Recorder(), students={"../up": {}})
    assert not (tmp_path / "study").exists()


def test_values_that_are_no_numbers(tiny_recipe: Path) -> None:
    result = CliRunner().invoke(main, ["study", "scaling", str(tiny_recipe), "--values", "half"])
    assert result.exit_code == 2
    assert "--values takes numbers" in result.output


def test_bins_hold_about_as_many_each() -> None:
    assert bins([1, 2, 3, 4, 5, 6, 7, 8]) == [("1–2", 1, 2), ("3–4", 3, 4), ("5–6", 5, 6), ("7–8", 7, 8)]
    assert bins([3] * 9) == [("3", 3, 3)]
    assert bins([1] * 8 + [9]) == [("1", 1, 1), ("2–9", 2, 9)]


def test_a_figure_as_text() -> None:
    one, two = ({"value": v, "low": v - 0.1, "high": v + 0.1, "n": 8} for v in (0.5, 0.25))
    points = (Point("a|b", "plad", 5.0, one), Point("c", "other", 5.0, two), Point("c", "other", 10.0, one))
    figure = Figure("made", "Made", "x, %", (1, 2), "Note.", points)
    assert markdown_of(figure).splitlines() == [
        "**Made** · seeds 1, 2",
        "",
        "| x, % | a\\|b | c |",
        "| --- | --: | --: |",
        "| 5.0 | 50.0 (40.0–60.0) | 25.0 (15.0–35.0) |",
        "| 10.0 | – | 50.0 (40.0–60.0) |",
        "",
        "Note.",
    ]
    assert csv_of(figure).splitlines()[1] == "a|b,5.0,0.5,0.4,0.6,8"


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 8}


def test_what_a_figure_found_is_told_with_its_intervals() -> None:
    points = [Point("PLaD", "plad", x, estimate(value)) for x, value in ((5.0, 0.5), (10.0, 0.75), (20.0, 0.7))]
    figure = Figure("made", "Made", "share", (1,), "Note.", (Point("SFT", "sft", 5.0, estimate(0.9)), *points))
    assert finding(figure) == (
        "PLaD: most at share 10, 75.0 % (95 % interval 70.0 to 80.0 %), "
        "least at share 5, 50.0 % (95 % interval 45.0 to 55.0 %)."
    )
    together = Figure("made", "Made", "share", (1,), "Note.", tuple(points[1:]))
    assert finding(together).endswith("; the intervals overlap, so that this order may be chance.")
    ones = tuple(Point(name, "sft", "all", estimate(value)) for name, value in (("a", 0.2), ("b", 0.4)))
    here = Figure("made", "Made", "", (1,), "Note.", ones)
    assert finding(here).startswith("Most for b, 40.0 %")
