"""PLaD beyond the paper: the arms, the numbers by hand from files made by hand, and the whole on a tiny run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from test_figures import Study
from test_figures import study as study
from test_table1 import made
from tiny_run import Recorder, finished

from plad.config import changed, load_recipe
from plad.errors import PladError
from plad.records import Generation, PreferencePair, read_jsonl
from plad.runs import Run, write_jsonl
from plad.studies.beyond import _arms, _row, beyond, verdict
from plad.studies.beyond_table import csv_rows
from plad.studies.figures import Arm

SCORER = "pairs.scorer={type: length}"


def test_each_arm_differs_from_plain_plad_in_what_it_is_named_after(tiny_recipe: Path) -> None:
    settings = ["distill.rounds=2", "pairs.negatives=all", "sample.samples=3", "distill.loss.anchor=2", SCORER]
    recipe = load_recipe(tiny_recipe, settings)
    made = {arm.name: changed(recipe, arm.settings) for arm in _arms(recipe)}
    assert list(made["plain"].methods) == ["plad"]
    form = {
        name: (
            one.distill.rounds,
            one.distill.max_steps,
            one.distill.loss.anchor,
            one.sample.samples,
            one.sampling_of("teacher").samples,
            one.pairs.negatives,
            one.pairs.positives,
        )
        for name, one in made.items()
    }
    assert form == {
        "plain": (1, 4, 2, 1, 1, "first", "first"),
        "rounds": (3, 1, 2, 1, 1, "first", "first"),
        "random": (1, 4, 2, 4, 1, "random", "first"),
        "hardest": (1, 4, 2, 4, 1, "hardest", "first"),
        "all": (1, 4, 2, 4, 1, "all", "first"),
        "best": (1, 4, 2, 1, 4, "first", "best"),
        "anchor": (1, 4, 0, 1, 1, "first", "first"),
    }


def test_rounds_share_the_epochs_where_no_steps_are_named(tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe, ["distill.max_steps=null", "distill.epochs=2", SCORER])
    arm = next(arm for arm in _arms(recipe) if arm.name == "rounds")
    assert 3 * changed(recipe, arm.settings).distill.epochs == 2


def test_the_anchor_is_that_of_the_methods_own_loss_where_it_has_one(tiny_recipe: Path) -> None:
    own = "distill.method={type: plad, loss: {type: ranking, anchor: 3}}"
    recipe = load_recipe(tiny_recipe, [own, SCORER])
    anchors = [changed(recipe, arm.settings).distill.method.loss.anchor for arm in _arms(recipe)]
    assert anchors == [3, 3, 3, 3, 3, 3, 0]
    without = load_recipe(tiny_recipe, ["distill.method={type: plad, loss: {type: ranking}}", SCORER])
    assert [changed(without, arm.settings).distill.method.loss.anchor for arm in _arms(without)] == [0] * 6 + [1]


def test_what_it_needs_is_missed_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"pairs\.positives.* pairs\.scorer is null"):
        beyond(load_recipe(tiny_recipe), tmp_path / "study", [1], Recorder())
    with pytest.raises(PladError, match=r"distill\.method is of type dpo"):
        beyond(load_recipe(tiny_recipe, ["distill.method={type: dpo}"]), tmp_path / "study", [1], Recorder())
    assert not (tmp_path / "study").exists()


def run_of(folder: Path, plad: list[float], steps: int, answers: dict[str, int]) -> Run:
    """A run whose judge gave PLaD these scores; `answers` counts the lines of each file of generations."""
    run = made(folder, {"teacher": [1.0] * len(plad), "student": [0.2] * len(plad), "plad": plad})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tasks"]["distill/plad"]["summary"]["steps"] = steps
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name, count in answers.items():
        write_jsonl(folder / name, [Generation(str(k), "said", True) for k in range(count)])
    return run


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Two seeds of four prompts. Over plain PLaD another wins on 1, 1, ½, 0 and on all four."""
    both = {"generations/teacher.jsonl": 4, "generations/student.jsonl": 4}
    again = {**both, "rounds/2/student.jsonl": 4, "rounds/3/student.jsonl": 4}
    plain = [run_of(tmp_path / f"plain-{k}", [0.1, 0.1, 0.3, 0.4], 6, both) for k in (1, 2)]
    rounds = [
        run_of(tmp_path / "rounds-1", [0.3, 0.3, 0.3, 0.1], 6, again),
        run_of(tmp_path / "rounds-2", [0.6, 0.6, 0.6, 0.6], 3, both),
    ]
    return [
        _row(Arm("plain", "plain", ()), plain, plain),
        _row(Arm("rounds", "3 rounds", ()), rounds, plain),
    ]


def test_a_row_by_hand(rows: list[dict[str, Any]]) -> None:
    plain, rounds = rows
    assert plain["against_plain"] is None
    assert plain["against_initial"]["value"] == 2 / 4
    assert (plain["steps"], plain["answers"]) == (6, 8)
    assert rounds["against_plain"]["value"] == (2.5 + 4) / 8
    assert rounds["against_initial"]["value"] == (3 + 4) / 8
    assert rounds["win_rate"]["value"] == 4 / 8, "references have 0.5"
    assert (rounds["steps"], rounds["answers"]) == (4.5, (16 + 8) / 2)


def test_csv_holds_every_number(rows: list[dict[str, Any]]) -> None:
    plain, rounds = csv.DictReader(csv_rows(rows).splitlines())
    assert plain["against_plain"] == plain["against_plain_low"] == ""
    assert float(rounds["against_plain"]) == 6.5 / 8
    assert float(rounds["words_high"]) == rows[1]["words"]["high"]
    assert (rounds["setting"], rounds["steps"], rounds["answers"]) == ("3 rounds", "4.5", "12.0")


def test_the_verdict_names_what_is_beyond_the_interval() -> None:
    over = {"a": None, "b": (0.6, 0.51), "c": (0.6, 0.5), "d": (0.3, 0.2)}
    rows = [
        {
            "setting": name,
            "against_plain": found and {"value": found[0], "low": found[1], "high": found[0] + 0.1, "n": 9},
        }
        for name, found in over.items()
    ]
    assert verdict(rows) == (
        "Beyond the interval better than plain PLaD: b, winning on 60.0 % (95 % interval 51.0 to 70.0 %). "
        "Beyond the interval worse than plain PLaD: d, winning on 30.0 % (95 % interval 20.0 to 40.0 %)."
    )
    assert verdict(rows[:1]).count("none.") == 2


@pytest.mark.slow
def test_the_study(study: Study) -> None:
    out, found = study("beyond", "plain", "--set", SCORER, "--set", "evaluate.calibration=null")
    arms = [row["arm"] for row in found["rows"]]
    cells = {arm: out / f"{arm}-seed-1" for arm in arms}
    for shared in ("models/teacher/model.safetensors", "models/student/model.safetensors", "evaluation/student.jsonl"):
        assert all((cells[arm] / shared).samefile(cells["plain"] / shared) for arm in arms), shared
    asked = len(list(read_jsonl(cells["plain"] / "generations" / "student.jsonl", Generation)))
    answers = {row["arm"]: row["answers"] for row in found["rows"]}
    assert answers | {"rounds": 0} == {
        "plain": 2 * asked,
        "rounds": 0,
        **dict.fromkeys(("random", "hardest", "all", "best"), 5 * asked),
        "anchor": 2 * asked,
    }
    first = {g.id: g.response for g in read_jsonl(cells["plain"] / "generations" / "student.jsonl", Generation)}
    four = list(read_jsonl(cells["all"] / "generations" / "student.jsonl", Generation))
    assert {g.id: g.response for g in four if not g.sample} == first, "the first of several is the one of one"
    pairs = {arm: list(read_jsonl(cells[arm] / "pairs.jsonl", PreferencePair)) for arm in arms}
    assert len({pair.id for pair in pairs["all"]}) == len(pairs["random"]) == len(pairs["hardest"]) < len(pairs["all"])
    steps = {row["arm"]: row["steps"] for row in found["rows"]}
    assert steps.pop("rounds") <= 3
    assert set(steps.values()) == {4}
    assert all(finished(cell)["report"] for cell in cells.values())
    page = (out / "beyond.html").read_text()
    assert all(f"</span>{row['setting'].replace(chr(39), '&#39;')}</th>" in page for row in found["rows"])
