from __future__ import annotations

from pathlib import Path

import pytest
from refused import error_of, told
from tiny_run import RECIPE, write_recipe

from plad.config import load_recipe
from plad.losses import RankingCalibration


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
