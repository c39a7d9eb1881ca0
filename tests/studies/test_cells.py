"""Runs of one study share what they have in common, and end with the files that each would have made alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import REPORTS, TASKS, Recorder, differing, outputs, times

from plad.config import changed, load_recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.studies.cells import Cell, run_cells

AFTER_MARGIN = ["distill/plad", "evaluate/plad", "evaluate/also-length", "evaluate/results", "evaluate/calibration"]


def taken(display: Recorder) -> list[str]:
    return [fields["name"] for kind, fields in display.events if kind == "taken"]


def test_a_second_cell_does_only_what_differs(
    tiny_recipe: Path, copy_of_run: Callable[[], Path], tmp_path: Path
) -> None:
    study, recipe = tmp_path / "study", load_recipe(tiny_recipe)
    study.mkdir()
    copy_of_run().rename(study / "one")
    before = times(study / "one")
    two = changed(recipe, ["distill.loss.margin=0.5"])
    display = Recorder()
    cells = [Cell("one", recipe), Cell("two", two)]
    run_cells(cells, study, display)
    assert display.worked == [*AFTER_MARGIN, "report"]
    assert taken(display) == [name for name in TASKS if name not in display.worked]
    assert times(study / "one") == before
    alone = run(two, tmp_path / "alone", Recorder()).folder
    assert differing(study / "two", alone) <= REPORTS
    again = Recorder()
    run_cells(cells, study, again)
    assert again.worked == taken(again) == []


def test_what_a_run_makes_anew_leaves_the_run_it_took_from_as_it_was(
    tiny_recipe: Path, copy_of_run: Callable[[], Path], tmp_path: Path
) -> None:
    one = copy_of_run()
    two = run(load_recipe(tiny_recipe), tmp_path / "two", Recorder(), beside=[one]).folder
    assert (two / "pairs.jsonl").samefile(one / "pairs.jsonl"), "no second copy on disk"
    before = outputs(one)
    run(load_recipe(tiny_recipe, ["distill.max_steps=2"]), two, Recorder(), force=["sft", "sample"], beside=[one])
    assert outputs(one) == before


def test_an_unfinished_task_is_not_taken(tiny_recipe: Path, copy_of_run: Callable[[], Path], tmp_path: Path) -> None:
    one = copy_of_run()
    (one / "pairs.json").unlink()
    display = Recorder()
    run(load_recipe(tiny_recipe), tmp_path / "two", display, beside=[one])
    assert display.worked == ["pair", "report"], "what follows is taken: its settings and its inputs are equal"


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_cells_have_names_of_their_own(names: list[str], tiny_recipe: Path, tmp_path: Path) -> None:
    recipe = load_recipe(tiny_recipe)
    with pytest.raises(PladError, match="each of a name of its own"):
        run_cells([Cell(name, recipe) for name in names], tmp_path, Recorder())


def test_a_recipe_changed_is_checked(tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe)
    assert changed(recipe, []) == recipe
    assert changed(recipe, ["pairs.scorer={type: rouge}", "pairs.real_share=0.5"]).pairs.real_share == 0.5
    with pytest.raises(PladError, match=r"--set pairs.real_share=2: pairs.real_share: must be less than or equal to 1"):
        changed(recipe, ["pairs.real_share=2"])
    with pytest.raises(PladError, match=r"pairs.scorer is null"):
        changed(recipe, ["pairs.real_share=0.5"])
