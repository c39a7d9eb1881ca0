"""A run whose student learns an adapter over 4-bit weights, beside a teacher in 8 bit: its files are whole models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import RECIPE, Recorder, finished, write_recipe

from plad.config import Recipe, changed, load_recipe
from plad.errors import PladError
from plad.models.load import load_folder
from plad.pipeline import run
from plad.planning import plan
from plad.stages.context import Context
from plad.stages.models import load
from plad.stages.room import check_memory, told_what_helps, ways_to_train

pytest.importorskip("bitsandbytes")

FEWER = ["student.model.quantise=4bit", "teacher.model.quantise=8bit"]
ADAPTERS = ["student.sft.lora={r: 2}", "teacher.sft.lora={r: 2}", "distill.lora={r: 2}"]


@pytest.fixture(scope="module")
def recipe(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A tiny run that goes on with the models of another; KD looks inside the teacher."""
    folder = tmp_path_factory.mktemp("models")
    models = [
        f"{name}.model={{type: pretrained, path: {finished_run / 'models' / name}}}" for name in ("teacher", "student")
    ]
    few = ["baselines={sft: null, seqkd: null, kd: {}}", "evaluate.calibration=null", "distill.max_steps=3"]
    brief = [f"{name}.sft={{max_steps: 2, batch_size: 4, learning_rate: 1.0e-3}}" for name in ("teacher", "student")]
    return load_recipe(write_recipe(folder, RECIPE), [*models, *few, *brief, *ADAPTERS])


@pytest.mark.slow
def test_a_run_with_fewer_bits_leaves_whole_models(recipe: Recipe, tmp_path: Path) -> None:
    done = run(changed(recipe, FEWER), tmp_path / "run", Recorder())
    tasks = finished(done.folder)
    model, _ = load_folder(done.path("models", "plad"))
    assert {type(part) for part in model.modules() if isinstance(part, torch.nn.Linear)} == {torch.nn.Linear}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    weights = sum(parameter.numel() for parameter in model.parameters())
    # Counted as whole weights, with the adapter that was trained beside them.
    assert tasks["distill/plad"]["summary"]["parameters"] == weights + tasks["distill/plad"]["summary"]["trainable"]
    base, _ = load_folder(done.path("models", "student"))
    moved = [not torch.equal(one, other) for one, other in zip(model.parameters(), base.parameters(), strict=True)]
    assert sum(moved) == 7, "each matrix of the one layer, and neither embeddings nor norms"
    context = Context(done, changed(recipe, FEWER), Recorder(), tmp_path)
    teacher, student = (load(context, name)[0] for name in ("teacher", "student"))
    assert {type(part).__name__ for part in teacher.modules() if "Linear" in type(part).__name__} == {
        "Linear8bitLt",
        "Linear",
    }
    assert not hasattr(student, "is_loaded_in_4bit"), "what answers is what is exported"
    assert {"distill/kd", "evaluate/plad", "report"} <= tasks.keys()


def test_a_recipe_without_it_is_the_recipe_it_was(recipe: Recipe) -> None:
    """Its tasks have the settings of before, so that older runs stay done; fewer bits are another model."""
    settings = {task.name: json.dumps(dict(task.settings), default=str) for task in plan(recipe)}
    assert not any("quantise" in text for text in settings.values())
    other = {task.name: json.dumps(dict(task.settings), default=str) for task in plan(changed(recipe, FEWER))}
    assert '"quantise": "4bit"' in other["sft/student"]
    assert '"quantise": "8bit"' in other["sft/teacher"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["distill.lora=null"], r"student.model.quantise: weights in 4bit are frozen, but a training of the student"),
        (
            ["teacher.sft.lora=null"],
            r"teacher.model.quantise: weights in 8bit are frozen, but a training of the teacher",
        ),
        (["sample.backend={type: vllm}"], "through sample.backend of type hf, not vllm"),
    ],
)
def test_what_cannot_be_is_refused(recipe: Recipe, settings: list[str], message: str) -> None:
    with pytest.raises(PladError, match=message):
        changed(recipe, [*FEWER, *settings])


def test_fewer_bits_need_less_room(recipe: Recipe) -> None:
    whole = 2 * 4 * recipe.student.model.parameters(None)
    check_memory(changed(recipe, FEWER), have=int(whole * (0.55 + 1.05) / 8) + 1)
    with pytest.raises(PladError, match=r"model.quantise: 4bit holds frozen weights in a seventh of float32"):
        check_memory(recipe, have=int(whole * (0.55 + 1.05) / 8) + 1)


def test_where_memory_runs_out_it_says_what_helps_in_order(recipe: Recipe) -> None:
    ways = ways_to_train(changed(recipe, ["distill.device_tokens=4096"]).distill, quantised=False)
    with pytest.raises(PladError) as told, told_what_helps(ways):
        torch.empty(2**55)  # more than any processor has
    message = str(told.value)
    order = [message.index(word) for word in ("device_tokens: 2048", "gradient_checkpointing", "quantise: 4bit")]
    assert order == sorted(order)
    whole: Any = changed(recipe, ["distill.lora=null", "distill.gradient_checkpointing=true"]).distill
    assert [way.split(":")[0] for way in ways_to_train(whole, quantised=False)][1] == "lora"
    assert not any("gradient_checkpointing" in way for way in ways_to_train(whole, quantised=False))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), told_what_helps(ways):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_a_training_that_runs_out_of_memory_says_so_by_name(recipe: Recipe, tmp_path: Path) -> None:
    """A real training of one step, on a model whose first layer asks for more than there is."""
    from plad.losses import NegativeLogLikelihood
    from plad.runs import Run
    from plad.stages.train import train_model
    from plad.training.examples import Examples
    from plad.training.layout import Example

    class Greedy(NegativeLogLikelihood):
        def __call__(self, sequences: Any) -> Any:
            torch.empty(2**55)
            return super().__call__(sequences)

    tokenizer = recipe.student.model.tokenizer(())
    context = Context(Run(tmp_path), recipe, Recorder(), tmp_path / "work")
    data = {"train": Examples([Example([3, 4], [[5, 6]])])}
    with pytest.raises(PladError, match=r"student: memory ran out \(.*allocate.*In this order: device_tokens: 4096"):
        train_model(
            context,
            "student",
            recipe.student.model.model(tokenizer, 0),
            tokenizer,
            Greedy(),
            data,
            recipe.student.sft,  # type: ignore[arg-type]
            None,
        )
