"""The ablations: what each row is, and that the second run shares all that comes before the pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import Recorder, finished, write_recipe

from plad.config import load_recipe
from plad.errors import PladError
from plad.planning import fingerprints, plan
from plad.studies.ablations import REAL, _recipes, make_ablations

SCORED = ["pairs.scorer={type: length}", "distill.method={type: plad, learning_rate: 0.002}", "distill.loss.margin=0.5"]


def test_rows_differ_in_what_they_are_named_after(tmp_path: Path) -> None:
    pseudo, real = _recipes(load_recipe(write_recipe(tmp_path), SCORED))
    losses = {name: method.objective(pseudo.distill.loss) for name, method in pseudo.methods.items()}
    told = {name: (loss.type, loss.normalise, loss.margin) for name, loss in losses.items()}
    assert told == {
        "plad-margin": ("margin", "mean", 0.5),
        "plad-sum": ("ranking", "sum", 0.5),
        "plad": ("ranking", "mean", 0.5),
    }
    scaled, _ = _recipes(load_recipe(tmp_path / "recipe.yaml", [*SCORED, "distill.loss={type: margin, scale: rank}"]))
    assert scaled.methods["plad-margin"].loss.scale == "rank"
    assert {method.learning_rate for method in pseudo.methods.values()} == {0.002}
    assert (list(real.methods), real.pairs.real_share, pseudo.pairs.real_share) == (["plad"], 1, 0)
    marks = [fingerprints(plan(each), 1) for each in (pseudo, real)]
    shared = [name for name, mark in marks[0].items() if marks[1].get(name) == mark]
    assert {"sft/teacher", "sample/student", "evaluate/judge", "evaluate/teacher"} <= {*shared}
    assert not {"pair", "distill/plad"} & {*shared}


def test_pairs_need_a_scorer(tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"pairs.scorer is null"):
        make_ablations(load_recipe(write_recipe(tmp_path)), tmp_path / "out", [1], Recorder())


@pytest.mark.slow
def test_the_whole_study(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path), [*SCORED, "evaluate.calibration=null"])
    display = Recorder()
    table = make_ablations(recipe, tmp_path / "out", [1], display)
    assert [row["name"] for row in table["rows"]] == ["teacher", "student", "plad-margin", "plad-sum", "plad", REAL]
    assert display.worked.count("sft/teacher") == 1
    assert display.worked.count("distill/plad") == 2
    real = finished(tmp_path / "out" / "real-1")["distill/plad"]
    assert table["rows"][-1]["seconds"] == real["seconds"]
    assert REAL in (tmp_path / "out" / "ablations.md").read_text()
