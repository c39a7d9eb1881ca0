"""Every method as a line in a recipe: read, refused where it is wrong, and run to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import RECIPE, Recorder, finished, write_recipe

from plad.config import load_recipe
from plad.errors import PladError
from plad.losses import MarginCalibration, RankingCalibration
from plad.methods import METHODS
from plad.methods.pairs import DPO
from plad.methods.text import KD
from plad.pipeline import run

OTHERS = [name for name, method in METHODS.items() if name not in ("plad", "sft", "seqkd", "lipo")]
"""Those beside PLaD and its two that need no scorer."""


def test_every_method_is_found_by_its_own_type_and_has_a_label_of_its_own() -> None:
    made = {name: method() for name, method in METHODS.items()}
    assert {name: method.type for name, method in made.items()} == {name: name for name in METHODS}
    assert len({method.label for method in made.values()}) == len(METHODS)


def test_a_method_takes_as_many_answers_as_its_loss_looks_at() -> None:
    responses = {"references": 1, "teacher": 1, "student": 1, "both": 2, "pairs": 2}
    for method in (method() for method in METHODS.values()):
        loss = method.objective(RankingCalibration())
        if method.learns_from == "samples":
            assert loss.rollout() is not None
        else:
            assert loss.rollout() is None
            assert loss.responses == responses[method.learns_from], method.type


def test_baselines_are_named_and_typed(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    assert list(load_recipe(recipe).methods) == ["sft", "seqkd", "plad"]
    settings = ["baselines.sft=null", "baselines.dpo.beta=0.3", "baselines.kd-hot={type: kd, temperature: 2}"]
    methods = load_recipe(recipe, settings).methods
    assert list(methods) == ["seqkd", "dpo", "kd-hot", "plad"]
    assert methods["dpo"] == DPO(beta=0.3)
    assert methods["kd-hot"] == KD(temperature=2)


def test_two_of_plads_losses_in_one_run(tmp_path: Path) -> None:
    margin = ["pairs.scorer={type: length}", "baselines.plad-margin={type: plad, loss: {type: margin, margin: 2}}"]
    recipe = load_recipe(write_recipe(tmp_path), margin)
    losses = {name: method.objective(recipe.distill.loss) for name, method in recipe.methods.items()}
    assert losses["plad-margin"] == MarginCalibration(margin=2)
    assert losses["plad"] == RankingCalibration()
    assert recipe.scores_pairs
    with pytest.raises(PladError, match=r"baselines\.plad-margin\.loss\.margin: must be greater than or equal to 0"):
        load_recipe(tmp_path / "recipe.yaml", ["baselines.plad-margin={type: plad, loss: {type: margin, margin: -1}}"])


def test_the_main_method_stands_in_the_place_of_its_baseline(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path), ["distill.method.type=seqkd", "distill.method.learning_rate=0.5"])
    assert list(recipe.methods) == ["sft", "seqkd"]
    assert recipe.methods["seqkd"].learning_rate == 0.5


def test_a_written_recipe_reads_as_the_same(tmp_path: Path) -> None:
    settings = ["distill.method={type: ipo, tau: 0.2}", "baselines.seqkd=null", "baselines.hot={type: kd}"]
    recipe = load_recipe(write_recipe(tmp_path), settings)
    whole = tmp_path / "whole.yaml"
    whole.write_text(recipe.to_yaml())
    assert load_recipe(whole) == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("distill.method.type=minilm", "distill.method: unknown type 'minilm'. Did you mean 'minillm'? Known: plad"),
        ("distill.method={type: dpo, bta: 1}", "distill.method.bta: unknown key. Did you mean 'beta'? Known: "),
        ("distill.method={type: ipo, tau: 0}", "distill.method.tau: must be greater than 0, but is 0."),
        ("baselines.seqkdd={}", "baselines.seqkdd: unknown type 'seqkdd'. Did you mean 'seqkd'? Known: plad, sft"),
        ("baselines.dpo.beta=x", 'baselines.dpo.beta: must be a valid number, but is "x".'),
        (
            "baselines.hot={type: kd, temprature: 2}",
            "baselines.hot.temprature: unknown key. Did you mean 'temperature'?",
        ),
        ("baselines.hot=3", "baselines.hot: must be a mapping with a `type:`, but is 3. Known: plad"),
        ("baselines.judge={type: kd}", "and none of teacher, student, judge, results; 'judge' names files"),
        ("baselines.a/b={type: kd}", "'a/b' names files"),
        ("baselines=3", "baselines: must be a valid dictionary, but is 3."),
    ],
)
def test_a_mistake_is_named_at_its_key(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(PladError) as caught:
        load_recipe(write_recipe(tmp_path), [override])
    assert message in str(caught.value)
    assert str(caught.value).startswith("--set")


def test_scores_are_needed_where_a_method_needs_them(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    margin = ["distill.loss.type=margin", "distill.method.type=dpo"]
    assert not load_recipe(path, margin).scores_pairs, "DPO looks at no score, and PLaD is not there"
    with pytest.raises(PladError, match="needs scores"):
        load_recipe(path, [*margin, "baselines.plad={}"])


def rows_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluation" / "results.json").read_text())


def test_all_methods_beside_a_finished_plad(copy_of_run: Callable[[], Path]) -> None:
    """Nothing that is there is made again; every one takes PLaD's steps, moves the student and is reported."""
    folder, display = copy_of_run(), Recorder()
    settings = [f"baselines.{name}={{}}" for name in OTHERS] + ["baselines.kd-hot={type: kd, temperature: 2}"]
    run(load_recipe(folder / "recipe.yaml", settings), folder, display)
    named = [*OTHERS, "kd-hot"]
    assert [name for name in display.worked if name.startswith("distill/")] == [f"distill/{name}" for name in named]
    assert not [name for name in display.worked if name.startswith(("sft", "sample", "pair"))]
    tasks = finished(folder)
    assert {tasks[f"distill/{name}"]["summary"]["steps"] for name in ["sft", "seqkd", *named, "plad"]} == {4}
    results = rows_of(folder)
    assert results["subject"] == "plad"
    assert [row["name"] for row in results["rows"]] == ["teacher", "student", "sft", "seqkd", *named, "plad"]
    labels = {row["name"]: row["label"] for row in results["rows"]}
    assert (labels["minillm"], labels["kd-hot"]) == ("MiniLLM", "Standard KD (kd-hot)")
    adapters = {name: (folder / "models" / name / "adapter_model.safetensors").read_bytes() for name in named}
    assert len(set(adapters.values())) == len(adapters), "no two methods are the same"


T5 = RECIPE.replace("{type: scratch,", "{type: scratch, architecture: t5,")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("whole", [False, True])
def test_all_methods_on_an_encoder_decoder_by_adapter_and_whole(whole: bool, tmp_path: Path) -> None:
    settings = [f"baselines.{name}={{}}" for name in OTHERS] + (["distill.lora=null"] if whole else [])
    folder = run(load_recipe(write_recipe(tmp_path, T5), settings), tmp_path / "run", Recorder()).folder
    weights = "model.safetensors" if whole else "adapter_model.safetensors"
    names = [*OTHERS, "sft", "seqkd", "plad"]
    assert all((folder / "models" / name / weights).is_file() for name in names)
    assert {finished(folder)[f"distill/{name}"]["summary"]["steps"] for name in names} == {4}


def test_lists_of_all_answers_in_the_order_of_a_scorer(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    before = (folder / "models" / "plad" / "adapter_model.safetensors").read_bytes()
    settings = ["sample.samples=3", "teacher.samples=1", "pairs.negatives=all", "pairs.scorer={type: length}"]
    settings += ["distill.method={type: lipo, learning_rate: 0.01}", "baselines={sft: null, seqkd: null}"]
    recipe = load_recipe(folder / "recipe.yaml", settings)
    run(recipe, folder, Recorder())
    pairs = (folder / "pairs.jsonl").read_text().splitlines()
    summary = finished(folder)["distill/lipo"]["summary"]
    assert summary["examples"] < len(pairs), "a list is of all of a prompt's answers"
    assert (folder / "models" / "lipo" / "adapter_model.safetensors").read_bytes() != before
    with pytest.raises(PladError, match="a loss of type lipo needs scores"):
        load_recipe(folder / "recipe.yaml", ["pairs.scorer=null", "baselines={sft: null, seqkd: null}"])


@pytest.mark.parametrize("name", ["minillm", "dpo"])
def test_a_run_about_another_method(name: str, copy_of_run: Callable[[], Path]) -> None:
    folder, display = copy_of_run(), Recorder()
    run(load_recipe(folder / "recipe.yaml", [f"distill.method.type={name}"]), folder, display)
    assert [task for task in display.worked if task.startswith("distill/")] == [f"distill/{name}"]
    results = rows_of(folder)
    assert results["subject"] == name
    assert results["rows"][-1]["name"] == name
    label = METHODS[name].label
    report = (folder / "report.md").read_text()
    assert f"With {label}, the student's win rate" in report
    assert "With PLaD" not in report
    assert f"{label} won against before" in (folder / "report.html").read_text()


def test_a_teacher_of_another_vocabulary_is_refused_before_any_work(tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path, RECIPE.replace("vocabulary: 320}\n  sft: {max_steps: 40", "vocabulary: 330}\n  sft: {max_steps: 40")
    )
    with pytest.raises(
        PladError, match=r"method gkd: token distributions .* the teacher's is 330 bytes, the student's 320"
    ):
        run(load_recipe(path, ["baselines.gkd={}"]), tmp_path / "run", Recorder())
    assert finished(tmp_path / "run") == {}
