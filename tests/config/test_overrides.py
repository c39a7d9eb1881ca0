from __future__ import annotations

from pathlib import Path

import pytest
from refused import error_of, told
from tiny_run import RECIPE, write_recipe

from plad.config import load_recipe
from plad.losses import MarginCalibration, RankingCalibration
from plad.methods import METHODS


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "distill.loss.margin=-1",
            "--set distill.loss.margin=-1: distill.loss.margin: must be greater than or equal to 0, ",
        ),
        (
            "distill.loss.margn=1",
            "--set distill.loss.margn=1: distill.loss.margn: unknown key. Did you mean 'margin'? ",
        ),
        (
            "distill.loss.type=magin",
            "distill.loss: unknown type 'magin'. Did you mean 'margin'? Known: ranking, margin.",
        ),
        ("distill.lora.r=0", "--set distill.lora.r=0: distill.lora.r: must be greater than or equal to 1, but is 0."),
        ("student.sft.lora.rank=4", "student.sft.lora.rank: unknown key. Known: r, alpha, dropout, target_modules."),
        ("teacher.model.width=15", "--set teacher.model.width=15: teacher.model: width must be a multiple of 2·heads"),
        ("seed=", "--set seed=: seed: must be a valid integer, but is null."),
        ("seed", "--set takes KEY=VALUE, such as distill.loss.margin=0.5, but this is 'seed'."),
        ("=3", "--set takes KEY=VALUE, such as distill.loss.margin=0.5, but this is '=3'."),
        ("a..b=1", "--set takes KEY=VALUE, such as distill.loss.margin=0.5, but this is 'a..b=1'."),
        ("name.x=1", '--set name.x=1: name is "tiny" in the recipe and has no keys of its own.'),
        ("seed=[", "--set seed=[: the value is not YAML ("),
        ("distill.report_to=3", "distill.report_to: must be a list, but is 3."),
        (
            "distill.report_to=wand",
            "distill.report_to.0: must be 'tensorboard', 'wandb', 'mlflow' or 'trackio', but is ",
        ),
        (
            "distill.loss.type=margin",
            "distill.loss: a loss of type margin needs scores, but pairs.scorer is null. Name a scorer there (such as "
            "`type: embedding`), or use `type: ranking`.",
        ),
        (
            "distill={lora: null, method: {lora_rank: 4}}",
            "distill.lora: method plad names a lora_rank of 4, but distill.lora is null: the student is trained whole.",
        ),
        ("pairs.real_share=0.5", "pairs.real_share: a share of 0.5 is ordered by a scorer, but pairs.scorer is null."),
        (
            "teacher.model={type: pretrained, path: ./nowhere}",
            "teacher.model: a model must be a hub id or a folder with a config.json, but ./nowhere is not there.",
        ),
    ],
)
def test_overrides_are_named_in_what_they_break(tmp_path: Path, override: str, message: str) -> None:
    error = told(tmp_path, overrides=(override,))
    assert message in error
    assert error.startswith("--set")


def test_overrides_reach_nested_and_variant_values(tmp_path: Path) -> None:
    recipe = load_recipe(
        write_recipe(tmp_path),
        ["distill.loss.type=margin", "distill.loss.margin=0.5", "pairs.scorer={type: length}", "distill.lora=null"],
    )
    assert recipe.distill.loss == MarginCalibration(margin=0.5)
    assert recipe.distill.lora is None
    assert recipe.scores_pairs
    # The loss is ranking where nothing says otherwise, so its margin alone can be set.
    assert load_recipe(write_recipe(tmp_path), ["distill.loss.margin=2"]).distill.loss == RankingCalibration(margin=2)


def test_with_a_new_type_go_the_settings_of_the_old_one_and_no_other(tmp_path: Path) -> None:
    whole = tmp_path / "whole.yaml"
    settings = ["distill.method={type: dpo, beta: 0.3, learning_rate: 0.5}", "baselines.hot={type: kd, nll: 0.5}"]
    whole.write_text(load_recipe(write_recipe(tmp_path), settings).to_yaml())
    recipe = load_recipe(whole, ["distill.method.type=minillm", "baselines.hot.type=gkd"])
    assert recipe.distill.method == METHODS["minillm"](learning_rate=0.5)
    assert recipe.baselines["hot"] == METHODS["gkd"](temperature=1.0)
    whole.write_text(whole.read_text().replace("beta: 0.3", "bta: 0.3"))
    assert "distill.method.bta: unknown key" in error_of(whole, "distill.method.type=ipo")


def test_an_override_reaches_one_of_two_aliases(tmp_path: Path) -> None:
    text = RECIPE.replace("sft: {max_steps: 40", "sft: &same {max_steps: 40")
    shared = text[: text.index("  sft: {max_steps: 20")] + "  sft: *same\n" + text[text.index("sample:") :]
    recipe = load_recipe(write_recipe(tmp_path, shared), ["teacher.sft.max_steps=7"])
    assert recipe.teacher.sft is not None
    assert recipe.student.sft is not None
    assert (recipe.teacher.sft.max_steps, recipe.student.sft.max_steps) == (7, 40)


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert load_recipe(write_recipe(tmp_path), ["seed=3", "seed=4"]).seed == 4
