from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_run import RECIPE, write_recipe

from plad.config import Recipe, load_recipe
from plad.errors import PladError
from plad.losses import MarginCalibration, RankingCalibration
from plad.methods import METHODS


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(PladError) as caught:
        load_recipe(path, overrides)
    return str(caught.value)


def told(tmp_path: Path, old: str = "", new: str = "", overrides: tuple[str, ...] = ()) -> str:
    """What a user reads after this edit of the recipe, with the recipe's path as R."""
    assert old in RECIPE
    path = write_recipe(tmp_path, RECIPE.replace(old, new, 1) if old else RECIPE)
    return error_of(path, *overrides).replace(str(path), "R")


def test_a_recipe_that_is_right(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path))
    assert recipe.name == "tiny"
    assert recipe.teacher.sft is not None
    assert recipe.teacher.sft.learning_rate == 1e-2
    assert recipe.distill.loss == RankingCalibration(margin=1.0)


def test_written_out_it_reads_as_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path), ["distill.loss.margin=0.25", "pairs.scorer.type=length"])
    whole = tmp_path / "whole.yaml"
    whole.write_text(recipe.to_yaml())
    assert load_recipe(whole) == recipe


OUTSIDE = "Known: name, seed, task, prompt, teacher, student, sample, pairs, distill, baselines, evaluate, launch."


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("distill: {", "distil: {", f"R, line 13: distil: unknown key. Did you mean 'distill'? {OUTSIDE}"),
        ("max_steps: 40", "max_step: 40", "R, line 8: teacher.sft.max_step: unknown key. Did you mean 'max_steps'? "),
        ("path: DATA", "pth: DATA", "R, line 3: task.source.pth: unknown key. Did you mean 'path'? Known: type, path"),
        (
            "{type: table,",
            "{type: tabel,",
            "R, line 3: task.source: unknown type 'tabel'. Did you mean 'table'? Known: ",
        ),
        (
            "type: scratch, ",
            "",
            "R, line 7: teacher.model: must be a mapping with a `type:`, but has none. Known: pret",
        ),
        (
            "{type: rouge}",
            "{type: 3}",
            "R, line 14: evaluate.judge: unknown type '3'. Known: bradley_terry, embedding, ",
        ),
        (
            "{type: rouge}",
            "rouge",
            'R, line 14: evaluate.judge: must be a mapping with a `type:`, but is "rouge". Known',
        ),
        ("width: 16", "width: wide", 'R, line 7: teacher.model.width: must be a valid integer, but is "wide".'),
        (
            "width: 16",
            "width: 15",
            "R, line 7: teacher.model: width must be a multiple of 2·heads, but 15 is not of 4. ",
        ),
        ("name: tiny", "name: 2024", "R, line 1: name: must be text, but is 2024. Put it in quotes."),
        (
            "name: tiny",
            "name: ../up",
            "R, line 1: name: must be letters, digits and any of . _ - (first neither . nor -)",
        ),
        ("name: tiny", "name: ..", 'for it names a folder, but is "..".'),
        (
            "train: 0.4",
            "train: 0.5",
            "R, line 4: task.splits: the fractions train, distill, validation, test must sum to ",
        ),
        ("train: 0.4", "train: 0.5", "sum to 1, but sum to 1.1."),
        ("train: 0.4", "train: 1.4", "R, line 4: task.splits.train: must be less than 1, but is 1.4."),
        (
            "sample: {",
            "sample: 5\nx: {",
            "R, line 12: sample: must be a mapping of settings, but is 5. Known: temperature, ",
        ),
        (
            "max_new_tokens: 16",
            "max_new_tokens: 0",
            "R, line 12: sample.max_new_tokens: must be greater than or equal to 1",
        ),
        (
            "max_new_tokens: 16",
            "max_new_tokens: 17",
            "R, line 12: sample.max_new_tokens: training cuts a response after 16",
        ),
        ("evaluate: {judge: {type: rouge}}", "", "R: evaluate: is required, but is not there. Add it."),
        ("{judge: {type: rouge}}", "{}", "R, line 14: evaluate.judge: is required, but is not there. Add it."),
        (
            "{judge: {type: rouge}}",
            "null",
            "R, line 14: evaluate: must be a mapping of settings, but is null. Known: judge",
        ),
    ],
)
def test_line_value_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in told(tmp_path, old, new)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, RECIPE.replace("width: 16", "width: wide").replace("name: tiny", "nmae: tiny"))
    assert [line.split(":")[0].rpartition(" ")[2] for line in error_of(path).splitlines()] == ["7", "10", "1"]


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "R: a recipe is a mapping of sections, but this is empty. `plad init` writes one."),
        (b"- a\n- b\n", "R: a recipe is a mapping of sections, but this holds a list."),
        (b"name: x\ntask: [1\nprompt: 2\n", "R, line 3: a recipe is YAML, but this is not: expected ',' or ']'"),
        (b"name: x\n\tseed: 1\n", "R, line 2: a recipe is YAML, but this is not: found character '\\t'"),
        (b"name: x\nseed: \xff\n", "R, line 2: a recipe is UTF-8 text, but this is not. Save it as UTF-8."),
        (b"name: &a {b: *a}\n", "R: a recipe is a tree, but an alias (*name) in it holds itself. Remove it."),
        (b"name: x\nseed: 1\nname: y\n", "R, line 3: name stands twice, first on line 1. Remove one of the two."),
        (b"teacher:\n  sft: {epochs: 1, epochs: 2}\n", "R, line 2: teacher.sft.epochs stands twice, first on line 2."),
    ],
)
def test_what_is_no_recipe_at_all(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    assert message in error_of(path).replace(str(path), "R")


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    beside = tmp_path / "recipes.yaml"
    assert error_of(beside) == f"there is no recipe {beside}. Did you mean {str(path)!r}? `plad init` writes one."


def test_check_says_the_same_of_a_recipe_made_in_python(tmp_path: Path) -> None:
    data = json.loads(load_recipe(write_recipe(tmp_path)).model_dump_json())
    data["distill"]["loss"] = {"type": "margin"}
    with pytest.raises(
        PladError, match=r"distill\.loss: a loss of type margin needs scores, but pairs\.scorer is null"
    ):
        Recipe.model_validate(data).check()
