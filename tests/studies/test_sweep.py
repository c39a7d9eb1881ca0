"""The search for settings: what is tried, what is chosen, and that a second time nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import Recorder, finished, times, write_recipe

from plad.config import Recipe, load_recipe
from plad.methods.pairs import DPO, Plad
from plad.methods.samples import GKD
from plad.studies import sweep as module
from plad.studies.sweep import sweep


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe(
        write_recipe(tmp_path), ["baselines={sft: null, seqkd: null, dpo: {beta: 0.2}}", "distill.learning_rate=2e-3"]
    )


def test_what_is_searched_is_what_a_method_has_and_the_recipes_value_is_within(recipe: Recipe) -> None:
    assert module.ranges(recipe, "dpo") == {"learning_rate": (1e-5, 2e-3), "beta": (0.03, 3)}
    assert module.ranges(recipe, "plad") == {"learning_rate": (1e-5, 2e-3), "margin": (0.1, 10)}
    on_policy = recipe.model_copy(update={"baselines": {"hot": GKD()}})
    assert module.ranges(on_policy, "hot")["beta"] == (0.03, 0.97)


def test_settings_go_to_the_method_or_to_its_loss(recipe: Recipe) -> None:
    assert module.apply_settings(recipe, DPO(), {"learning_rate": 0.5, "beta": 2}) == DPO(learning_rate=0.5, beta=2)
    changed = module.apply_settings(recipe, Plad(), {"learning_rate": 0.5, "margin": 3})
    assert changed == Plad(learning_rate=0.5, loss={"type": "ranking", "margin": 3})


def test_rank_and_batch_are_the_methods_own(recipe: Recipe) -> None:
    method = module.apply_settings(recipe, Plad(), {"batch_size": 32, "lora_rank": 4, "anchor": 0.5})
    assert method == Plad(batch_size=32, lora_rank=4, loss={"type": "ranking", "anchor": 0.5})
    settings = recipe.distill.settings_of(method)
    assert (settings.batch_size, settings.lora.r, settings.lora.alpha) == (32, 4, recipe.distill.lora.alpha)
    assert settings.learning_rate == 2e-3, "the recipe's, where the method names none"


def test_each_method_is_asked_for_what_it_has(recipe: Recipe) -> None:
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    asked = [module._suggested(study.ask(), recipe, "plad") for _ in range(40)]
    assert {*asked[0]} == {"learning_rate", "margin", "anchor", "batch_size", "lora_rank"}
    assert {settings["batch_size"] for settings in asked} == {4, 8, 16, 32}, "the recipe's own too"
    assert {settings["lora_rank"] for settings in asked} == {4, 8, 16, 32}
    assert all(0 <= settings["anchor"] <= 2 for settings in asked)
    whole = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"lora": None})})
    assert {*module._suggested(study.ask(), whole, "dpo")} == {"learning_rate", "beta", "anchor", "batch_size"}


def test_the_first_of_the_best_is_chosen() -> None:
    tried = [{"settings": {"beta": k}, "value": value} for k, value in enumerate((0.5, 0.7, 0.7))]
    assert module._best(tried) == {"beta": 1}


def test_a_search_on_validation(
    recipe: Recipe, copy_of_run: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    copy_of_run().rename(folder / "sweep")
    own = load_recipe(folder / "sweep" / "recipe.yaml", ["baselines={sft: null, seqkd: null, dpo: {beta: 0.2}}"])
    chosen = sweep(own, folder, 2, Recorder())
    trained = [name for name in finished(folder / "sweep") if name.startswith("distill/")]
    assert {"distill/dpo.0", "distill/dpo.1", "distill/plad.0", "distill/plad.1"} <= set(trained)
    record = json.loads((folder / "sweep.json").read_text())
    first, second = (trial["settings"] for trial in record["trials"]["dpo"])
    own_settings = {"learning_rate": 1e-4, "beta": 0.2, "anchor": 0.0, "batch_size": 4, "lora_rank": 8}
    assert first == own_settings, "the recipe's own"
    assert second != first
    results = json.loads((folder / "sweep" / "evaluation" / "results.json").read_text())
    rates = {row["name"]: (row["against_initial"] or {}).get("value") for row in results["rows"]}
    held_out = (folder / "sweep" / "data" / "validation.jsonl").read_text().count("\n")
    assert (results["split"], results["n"]) == ("validation", held_out)
    for name, tried in record["trials"].items():
        assert [trial["value"] for trial in tried] == [rates[f"{name}.{k}"] for k in range(2)]
        assert record["chosen"][name] in [trial["settings"] for trial in tried]
    assert chosen.methods["dpo"].beta == record["chosen"]["dpo"]["beta"]
    assert chosen.methods["plad"].loss.margin == record["chosen"]["plad"]["margin"]
    assert list(chosen.methods) == ["dpo", "plad"]
    written = times(folder)
    assert sweep(own, folder, 2, Recorder()) == chosen
    assert times(folder) == written, "the second time it is read"
