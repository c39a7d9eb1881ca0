"""Methods at matched compute: the forms, the numbers by hand from files made by hand, and the whole on a tiny run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from test_figures import Study
from test_figures import study as study
from test_table1 import made
from tiny_run import Recorder

from plad.config import changed, load_recipe
from plad.errors import PladError
from plad.studies.compute import _arm, _forms, _rows, compute, verdict
from plad.studies.compute_page import csv_rows, markdown_rows

SETTINGS = [
    *("pairs.scorer={type: length}", "distill.max_steps=null", "distill.max_flops=1e9"),
    *("baselines.rrhf={}", "baselines.low={type: plad, learning_rate: 1.0e-5}", "baselines.seqkd=null"),
]


def test_each_form_has_what_it_is_named_after_and_its_methods(tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe, [*SETTINGS, "distill.rounds=2", "sample.samples=3", "distill.share=0.8"])
    forms = {name: changed(recipe, _arm(recipe, name, form, 2e9).settings) for name, form in _forms(recipe).items()}
    assert {name: list(one.methods) for name, one in forms.items()} == {
        "one": ["sft", "low", "plad"],
        "all": ["rrhf", "plad"],
        **{name: ["plad"] for name in ("rounds", "hardest", "best", "audit")},
    }
    assert forms["one"].methods["low"].learning_rate == 1e-5
    told = {
        name: (one.distill.rounds, one.sample.samples, one.sampling_of("teacher").samples, one.pairs.negatives)
        for name, one in forms.items()
    }
    assert told == {
        "one": (1, 1, 1, "first"),
        "rounds": (3, 1, 1, "first"),
        "hardest": (1, 4, 1, "hardest"),
        "all": (1, 4, 1, "all"),
        "best": (1, 1, 4, "first"),
        "audit": (1, 1, 1, "first"),
    }
    asked = {name: one.distill.share * one.sampling_of("teacher").samples for name, one in forms.items()}
    assert set(asked.values()) == {0.8}, "as many answers of the teacher"
    assert {(one.distill.max_flops, one.evaluate.split) for one in forms.values()} == {(2e9, "validation")}


def test_what_it_needs_is_missed_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    needed = {
        r"distill\.max_flops is null": ["distill.max_flops=null"],
        r"distill\.method is of type dpo": ["distill.method={type: dpo}"],
        r"pairs\.scorer is null": ["pairs.scorer=null", "baselines.rrhf=null"],
    }
    for message, settings in needed.items():
        with pytest.raises(PladError, match=message):
            compute(load_recipe(tiny_recipe, [*SETTINGS, *settings]), tmp_path / "study", [1], Recorder())
    assert not (tmp_path / "study").exists()


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """One seed of four prompts, on which DPO wins over PLaD 3½ times, and PLaD in rounds ½ times over PLaD."""
    models = {"teacher": [1.0] * 4, "student": [0.3] * 4, "dpo": [0.9, 0.9, 0.9, 0.4], "plad": [0.4] * 4}
    plain = [made(tmp_path / "one", models)]
    rounds = [made(tmp_path / "rounds", {**models, "plad": [0.4, 0.1, 0.2, 0.2]})]
    forms = _forms_of("", "3 rounds")
    return [*_rows(forms[0], 3e12, plain, plain), *_rows(forms[1], 3e12, rounds, plain)[1:]]


def _forms_of(*labels: str) -> list[Any]:
    from plad.studies.compute import Form

    return [Form(label, ()) for label in labels]


def test_rows_by_hand(rows: list[dict[str, Any]]) -> None:
    assert [row["label"] for row in rows] == ["DPO", "PLaD", "PLaD, 3 rounds"]
    assert [row["against_plad"] and row["against_plad"]["value"] for row in rows] == [3.5 / 4, None, 0.5 / 4]
    assert [row["against_initial"]["value"] for row in rows] == [1, 1, 1 / 4]
    assert (rows[0]["flops"], rows[0]["generated"]) == (3e12, 70)
    first = next(csv.DictReader(csv_rows(rows).splitlines()))
    assert (first["label"], first["budget"], first["against_plad_value"]) == ("DPO", str(3e12), "0.875")


def test_the_table_has_a_column_a_budget(rows: list[dict[str, Any]]) -> None:
    less = [{**row, "budget": 1e12, "against_initial": rows[2]["against_initial"]} for row in rows]
    found = {"seeds": [1], "budgets": [1e12, 3e12], "verdict": "Said.", "note": "Read.", "rows": [*less, *rows]}
    lines = markdown_rows(found).splitlines()
    assert lines[2] == "| Method | 1 TFLOP | 3 TFLOP | Wins vs. PLaD | R-L | Words |"
    assert [cell.split()[0] for cell in lines[4].strip("| ").split(" | ")] == [
        "DPO",
        "25.0",
        "100.0",
        "87.5",
        "50.0",
        "2.5",
    ]
    assert lines[5].split(" | ")[3] == "–"


def test_the_verdict_wants_every_budget() -> None:
    def row(label: str, budget: float, over: float | None) -> dict[str, Any]:
        value = over or 0.5
        low = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 9}
        return {"label": label, "budget": budget, "against_initial": low, "against_plad": over and low}

    rows = [row("a", 1e12, 0.7), row("a", 2e12, 0.61), row("b", 1e12, 0.7), row("b", 2e12, 0.55)]
    told = verdict([*rows, row("c", 1e12, 0.2), row("c", 2e12, 0.1), row("PLaD", 1e12, None)])
    assert told == (
        "The most that any method wins over the initial student: a, 70.0 % (95 % interval 60.0 to 80.0 %), at 1 TFLOP. "
        "Beyond the interval ahead of plain PLaD on every budget: a. "
        "Beyond the interval behind plain PLaD on every budget: c."
    )


@pytest.mark.slow
def test_the_study(study: Study) -> None:
    options = [*SETTINGS, "evaluate.calibration=null"]
    out, found = study("compute", "one-0.001", "--values", "1", *(part for one in options for part in ("--set", one)))
    assert found["budgets"] == [1e9]
    assert all(row["flops"] <= 1e9 for row in found["rows"])
    forms = {"hardest of 4", "all of 4", "teacher's best of 4", "audited", "3 rounds"}
    labels = [row["label"] for row in found["rows"]]
    assert sorted(labels) == sorted(
        {"PLaD", "PLaD (low)", "SFT, continued", "RRHF", *(f"PLaD, {form}" for form in forms)}
    )
    shared = "models/student/model.safetensors"
    cells = [path for path in out.iterdir() if path.is_dir()]
    assert len(cells) == 6
    assert all((cell / shared).samefile(cells[0] / shared) for cell in cells)
    assert {path.name for path in out.glob("*.svg")} == {"compute-losses.svg", "compute-forms.svg"}
