"""A run whose teacher speaks before training: its files, what it tells, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_run import Recorder, finished, write_recipe

from plad.config import load_recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.planning import plan

METHODS = "baselines={sft: null, seqkd: null, kd: {}, f_js: {}, f_kl: {}, seqkd+kd: {}}"


def test_methods_of_one_text_share_what_the_teacher_says_of_it(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path), [METHODS, "distill.teacher_logits={top_k: 64}"])
    after = {task.name: task.after for task in plan(recipe) if task.stage == "distill"}
    kept = [name for name in after if name.startswith("distill/logits/")]
    assert kept == ["distill/logits/references", "distill/logits/both", "distill/logits/teacher"]
    assert [name for name, follows in after.items() if "distill/logits/teacher" in follows] == [
        "distill/f_kl",
        "distill/seqkd+kd",
    ]
    assert not {*after["distill/plad"]} & {*kept}
    assert not [task for task in plan(load_recipe(tmp_path / "recipe.yaml", [METHODS])) if "logits" in task.name]


def test_a_student_is_the_same_whether_its_teacher_stands_beside_it_or_not(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    found = []
    for keep in ("null", "{}"):
        settings = ["baselines={sft: null, seqkd: null, kd: {}}", f"distill.teacher_logits={keep}"]
        run(load_recipe(folder / "recipe.yaml", settings), folder, Recorder())
        found.append(load_file(folder / "models" / "kd" / "adapter_model.safetensors"))
    beside, kept = found
    assert max(float((kept[name] - value).abs().max()) for name, value in beside.items()) < 1e-4
    summary = finished(folder)["distill/logits/references"]["summary"]
    assert (summary["top_k"], summary["kept"]) == (None, 1.0)
    assert summary["rows"] > finished(folder)["distill/kd"]["summary"]["examples"]
    vocabulary = summary["vocabulary"]
    assert f"{vocabulary} of {vocabulary} tokens: 100.0 % of the probability" in (folder / "report.md").read_text()


def test_a_method_that_draws_its_text_needs_its_teacher(tmp_path: Path) -> None:
    settings = ["baselines={minillm: {}}", "distill.teacher_logits={}"]
    with pytest.raises(PladError, match=r"distill.teacher_logits: method minillm draws its text as it trains"):
        load_recipe(write_recipe(tmp_path), settings)
