"""The search within a budget: what is asked for, what ends early, what is chosen, and that it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tiny_run import Recorder, finished, times

import plad.studies.tune_page as pages
from plad.commands.tune import seconds_of
from plad.config import Recipe, changed, load_recipe
from plad.errors import PladError
from plad.records import Prompt, read_jsonl

pytest.importorskip("optuna")
module: Any = import_module("plad.studies.tune")  # the package has the function of the same name
tune = module.tune


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    return load_recipe(tiny_recipe)


def trial(short: float | None, value: float | None = None, seconds: float = 10.0, **settings: float) -> dict[str, Any]:
    own = {"learning_rate": 1e-4, "margin": 1.0, "anchor": 0.0, "sample.temperature": 0.7} | settings
    outcomes = None if value is None else [1.0] * round(10 * value) + [0.0] * round(10 - 10 * value)
    return {
        "settings": own,
        "short": short,
        "value": value,
        "outcomes": outcomes,
        "diverged": False,
        "seconds": seconds,
    }


def test_what_is_searched_has_the_recipes_own_within(recipe: Recipe) -> None:
    odd = changed(recipe, ["sample.temperature=0.3", "distill.learning_rate=5e-3", "distill.loss.anchor=3"])
    found = module.space(odd)
    assert {*found} == {"learning_rate", "margin", "anchor", "sample.temperature"}
    assert found["sample.temperature"].choices == (0.3, 0.5, 0.7, 1.0)
    assert (found["learning_rate"].high, found["anchor"].high) == (5e-3, 3)


def test_answers_of_a_teacher_behind_text_are_not_asked_for_anew(tiny_recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text("")
    recorded = f"teacher={{model: {{type: recorded, path: {tmp_path / 'said.jsonl'}}}, sft: null}}"
    assert "sample.temperature" not in module.space(load_recipe(tiny_recipe, [recorded]))


def test_settings_go_where_they_belong(recipe: Recipe) -> None:
    found = module.with_settings(
        recipe, {"learning_rate": 3e-4, "margin": 0.5, "anchor": 1.0, "sample.temperature": 1.0}
    )
    assert found.sample.temperature == 1.0
    method = found.distill.method
    assert (method.learning_rate, method.loss.margin, method.loss.anchor) == (3e-4, 0.5, 1.0)
    assert found.evaluate.sampling == recipe.sample, "models are evaluated as before"
    assert module.with_settings(recipe, {"margin": 0.5}).evaluate == recipe.evaluate


def test_all_trials_meet_the_judge_of_the_first(tiny_recipe: Path, tmp_path: Path) -> None:
    trained = load_recipe(tiny_recipe, ["evaluate.judge={type: bradley_terry}"])
    first = module._lean(trained, tmp_path / "judge")
    assert first.evaluate.trains_judge, "it is not there yet"
    (tmp_path / "judge").mkdir()
    later = module._lean(trained, tmp_path / "judge")
    assert not later.evaluate.trains_judge
    assert later.evaluate.judge.folder == tmp_path / "judge"
    assert (later.evaluate.split, later.evaluate.others, [*later.methods]) == ("validation", {}, ["plad"])


def test_the_first_trial_is_the_recipes_own_and_others_depend_on_the_trials_alone(recipe: Recipe) -> None:
    own = {"learning_rate": 1e-4, "margin": 1.0, "anchor": 0.0, "sample.temperature": 0.7}
    assert module._asked(recipe, []) == own
    tried = [trial(0.5, 0.6), trial(0.4, 0.5, margin=2.0), trial(0.3, margin=3.0), trial(0.2, 0.4, margin=4.0)]
    asked = module._asked(recipe, tried)
    assert asked == module._asked(recipe, json.loads(json.dumps(tried))), "as read from the file"
    assert asked != module._asked(recipe, tried[:3])
    assert asked["sample.temperature"] in (0.5, 0.7, 1.0)


def test_a_beginning_below_the_median_of_whole_trials_ends_there() -> None:
    tried = [trial(0.4, 0.5), trial(0.5, 0.6), trial(0.1)]
    assert not module._worse(0.0, tried), "two whole ones say too little"
    tried.append(trial(0.6, 0.7))
    assert module._worse(0.49, tried)
    assert not module._worse(0.5, tried)


@pytest.mark.parametrize(
    ("spent", "goes_on"),
    [([], True), ([50], True), ([50, 10], True), ([70, 10, 10], True), ([75, 10, 10], False), ([200], False)],
)
def test_it_goes_on_while_one_more_has_room(spent: list[float], goes_on: bool) -> None:
    # The first holds what all share: 70 + 10 + 10 and one of 10 are the 100 there are.
    assert module._goes_on([trial(0.5, 0.5, seconds) for seconds in spent], 100, None) == goes_on
    assert not module._goes_on([trial(0.5, 0.5)], 100, 1)


def test_the_best_is_told_with_its_gain_and_what_it_claims(recipe: Recipe) -> None:
    tried = [trial(0.4, 0.5), trial(0.5, 0.9, margin=2.0), trial(0.5, 0.9, margin=3.0), trial(0.1, margin=4.0)]
    found = module._found(recipe, tried)
    assert (found["best"], found["gain"]["value"]) == (1, pytest.approx(0.4)), "of equals the first"
    assert found["importance"] == {}
    assert pages.verdict(found).startswith("Trial 2 of 4 is ahead of the recipe's own settings")
    assert "does not exclude" not in pages.verdict(found)
    close = module._found(recipe, [trial(0.4, 0.5), trial(0.5, 0.6)])
    assert "does not exclude that they are equal" in pages.verdict(close)
    assert pages.verdict(module._found(recipe, [trial(0.4, 0.5), trial(0.3, 0.4)])).startswith("None of 2 trials")


def test_what_mattered_needs_trials_enough(recipe: Recipe) -> None:
    # The margin decides and nothing else does.
    tried = [trial(0.5, k / 20, margin=0.1 * 1.5**k, learning_rate=1e-4 * (1 + k % 3)) for k in range(12)]
    found = module._found(recipe, tried)["importance"]
    assert max(found, key=lambda name: found[name]) == "margin"
    assert sum(found.values()) == pytest.approx(1)
    assert module._found(recipe, tried[:7])["importance"] == {}


def test_all_diverged_is_an_error(recipe: Recipe) -> None:
    with pytest.raises(PladError, match=r"all 2 diverged\. Lower distill\.learning_rate"):
        module._found(recipe, [trial(None) | {"diverged": True}] * 2)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), (" 2h ", 7200)])
def test_a_time_in_words(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "half an hour", "0m", "30m1h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(PladError, match="--budget takes a time"):
        seconds_of(text)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_that_goes_on(copy_of_run: Callable[[], Path], tmp_path: Path) -> None:
    folder = tmp_path / "tune"
    (folder / "trials").mkdir(parents=True)
    recipe = load_recipe(copy_of_run().rename(folder / "trials" / "shared") / "recipe.yaml")
    found = tune(recipe, folder, 0.1, display := Recorder())
    assert [trial["value"] is None for trial in found["trials"]] == [False], "the recipe's own, whatever the budget"
    assert not [name for name in display.worked if name.startswith(("sft", "sample", "pair"))], (
        "taken from the other run"
    )
    assert pages.verdict(found).startswith("None of 1 trials")
    found = tune(recipe, folder, 1e6, Recorder(), trials=2)
    first, second = found["trials"]
    assert first["settings"] != second["settings"]
    rows = json.loads((folder / "trials" / "002" / "evaluation" / "results.json").read_text())
    assert rows["split"] == "validation"
    held_out = list(read_jsonl(folder / "trials" / "shared" / "data" / "validation.jsonl", Prompt))
    assert second["estimate"]["n"] == rows["n"] == len(held_out)
    assert second["value"] == pytest.approx(rows["rows"][-1]["against_initial"]["value"])
    short = finished(folder / "trials" / "002-short")["distill/plad"]["summary"]
    assert (short["steps"], finished(folder / "trials" / "002")["distill/plad"]["summary"]["steps"]) == (1, 4)
    better = load_recipe(folder / "recipe.yaml")
    chosen = found["trials"][found["best"]]["settings"]
    assert better.distill.method.learning_rate == pytest.approx(chosen["learning_rate"])
    assert (better.evaluate.judge, better.evaluate.split) == (recipe.evaluate.judge, "test")
    assert "<svg" in (folder / "tune.html").read_text()
    assert (folder / "tune.svg").read_text().startswith("<svg")
    assert "Trial 1, the recipe's own" in (folder / "tune.md").read_text()
    before = times(folder / "trials")
    assert tune(recipe, folder, 1e6, Recorder(), trials=2) == found
    assert times(folder / "trials") == before, "the second time it is read"
