"""Presets: one table, read by `plad init` and by recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import RECIPE, write_recipe

from plad.changes import changes
from plad.config import Recipe, load_recipe
from plad.errors import PladError
from plad.presets import ANCHOR, PRESETS, beneath
from plad.template import recipe_text


def of(recipe: Recipe, section: str) -> dict[str, object]:
    return dict(getattr(recipe, section).model_dump(mode="json"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_the_recipe_of_init_says(name: str, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("")
    written = tmp_path / "own.yaml"
    written.write_text(recipe_text(str(written), str(tmp_path / "data.jsonl"), "a/b", "c/d", name))
    text = written.read_text()
    start, end = text.index("# The preset"), text.index("baselines:")
    short = tmp_path / "short.yaml"
    short.write_text(f"preset: {name}\n{text[:start]}sample: {{max_new_tokens: 128}}\n{text[end:]}")
    assert load_recipe(written) == load_recipe(short)
    for section, settings in PRESETS[name].items():
        for key, value in settings.items():
            found = of(load_recipe(written), section)[key]
            assert found == value or value.items() <= found.items(), (section, key)  # type: ignore[union-attr]


def test_the_paper_is_the_paper(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, f"preset: paper\n{RECIPE}"))
    assert (recipe.distill.method.type, recipe.distill.loss.type, recipe.distill.loss.anchor) == ("plad", "ranking", 0)
    assert (recipe.distill.rounds, recipe.distill.loss.normalise) == (1, "mean")


def test_what_is_recommended_is_the_paper_with_an_anchor() -> None:
    paper, ours = (PRESETS[name] for name in ("paper", "recommended"))
    assert list(changes(paper, ours)) == [("distill.loss.anchor", 0.0, ANCHOR)]


def test_what_a_recipe_says_itself_comes_first(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, f"preset: paper\n{RECIPE}")
    recipe = load_recipe(path, ["distill.loss={margin: 0.5}", "distill.method={type: simpo, beta: 3}"])
    assert recipe.distill.batch_size == 4, "the tiny recipe's own"
    assert recipe.distill.learning_rate == 1e-4
    assert (recipe.distill.loss.type, recipe.distill.loss.margin) == ("ranking", 0.5)
    assert recipe.distill.method.beta == 3
    assert load_recipe(path, ["distill.lora=null"]).distill.lora is None
    assert load_recipe(tmp_path / "recipe.yaml", ["preset=recommended"]).name == "tiny"


def test_another_type_has_nothing_in_common() -> None:
    assert beneath({"type": "a", "x": 1}, {"type": "b"}) == {"type": "b"}
    assert beneath({"type": "a", "x": 1}, {"y": 2}) == {"type": "a", "x": 1, "y": 2}
    assert beneath({"k": {"x": 1, "z": 3}}, {"k": {"x": 2}}) == {"k": {"x": 2, "z": 3}}


def test_a_preset_that_is_not_there_is_refused_at_its_line(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, f"preset: papr\n{RECIPE}")
    with pytest.raises(
        PladError, match=r"recipe\.yaml, line 1: preset: there is no preset 'papr'\. Did you mean 'paper'"
    ):
        load_recipe(path)
    with pytest.raises(PladError, match=r"preset: there is no preset 3\. Known: paper, recommended"):
        load_recipe(path, ["preset=3"])
