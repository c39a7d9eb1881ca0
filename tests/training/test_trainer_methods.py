"""The Trainer with a teacher, with reference likelihoods, and with samples of its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from test_trainer import Crash, arguments, assert_equal, dropping, weights
from tiny import letters, make, make_examples, one_at_a_time

from plad.errors import PladError
from plad.losses import DPO, GKD, KD, Loss, MiniLLM, MiniLLMCode
from plad.models import Lora
from plad.training.examples import Examples
from plad.training.layout import Example
from plad.training.trainer import PladTrainer

SLOW = pytest.mark.slow
TEXT = Examples(make_examples(5, responses=1, seed=3))


def trainer(folder: Path, model: Any, loss: Loss, examples: Examples | Dataset, **settings: Any) -> PladTrainer:
    teacher = make("qwen2", seed=5) if loss.needs_teacher else None
    text = TEXT if with_text(loss) else None
    return PladTrainer(
        model,
        arguments(folder, **settings),
        examples,
        processing_class=letters(),
        loss=loss,
        teacher=teacher,
        text=text,
        max_new_tokens=6,
    )


def with_text(loss: Loss) -> bool:
    return bool((rollout := loss.rollout()) and rollout.with_text)


def prompts(count: int) -> Examples:
    return Examples([Example(example.prompt, []) for example in make_examples(count)])


def data(loss: Loss, count: int = 12) -> Examples:
    return prompts(count) if loss.rollout() else Examples(make_examples(count, loss.responses))


@pytest.mark.parametrize(
    "loss",
    [KD(temperature=2, nll=0.5), MiniLLM(), MiniLLMCode(), pytest.param(GKD(), marks=SLOW)],
    ids=["kd", "minillm", "minillm_code", "gkd"],
)
def test_accumulation_changes_no_step_and_training_no_teacher(loss: Loss, tmp_path: Path) -> None:
    found = []
    for held, times in ((8, 1), (2, 4)):
        run = trainer(
            tmp_path,
            model := make("llama"),
            loss,
            data(loss),
            per_device_train_batch_size=held,
            gradient_accumulation_steps=times,
            max_steps=3,
        )
        before = weights(run._teacher.model)
        run.train()
        assert_equal(weights(run._teacher.model), before, atol=0)
        assert not run._teacher.model.training
        assert all(p.grad is None and not p.requires_grad for p in run._teacher.model.parameters())
        found.append(weights(model))
    assert (found[0]["lm_head.weight"] - make("llama").state_dict()["lm_head.weight"]).abs().max() > 1e-3
    assert_equal(found[1], found[0], atol=2e-6)


@pytest.mark.parametrize(
    "loss",
    [MiniLLM(), pytest.param(MiniLLMCode(), marks=SLOW), pytest.param(DPO(), marks=SLOW)],
    ids=["minillm", "minillm_code", "dpo"],
)
def test_resuming_gives_the_same_bytes(loss: Loss, tmp_path: Path) -> None:
    def begin(folder: Path) -> PladTrainer:
        model = dropping()
        torch.manual_seed(4)
        model = Lora(r=2, dropout=0.3).wrap(model, "nowhere")
        often = {"save_strategy": "steps", "save_steps": 2, "max_steps": 5, "logging_steps": 5}
        return trainer(folder, model, loss, data(loss), learning_rate=0.01, optim="adamw_torch", **often)

    whole = begin(tmp_path / "whole")
    whole.train()
    broken = begin(tmp_path / "broken")
    broken.add_callback(Crash(3))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = begin(tmp_path / "broken")
    resumed.train(resume_from_checkpoint=True)
    assert_equal(weights(resumed.model), weights(whole.model), atol=0)
    one, two = (next(e for e in run.state.log_history if "loss" in e) for run in (whole, resumed))
    assert one["loss"] == two["loss"]
    assert resumed.tokens_drawn == whole.tokens_drawn
    if loss.rollout():
        drawn = 5 * whole.args.per_device_train_batch_size * whole.args.gradient_accumulation_steps
        assert whole.tokens_drawn == round(one["length"] * drawn) > 0, "the mean length, by the number of samples"


def test_reference_likelihoods_are_those_of_the_initial_student(tmp_path: Path) -> None:
    """Without dropout, though the model trains with it; and they stay, while the model moves."""
    examples, student = make_examples(7), dropping().eval()
    expected = [[float(logps.sum()) for logps in one_at_a_time(student, example)] for example in examples]
    run = trainer(tmp_path, dropping(), DPO(beta=1), Examples(examples), max_steps=3, per_device_eval_batch_size=3)
    run.train()
    for example, logps in zip(run.train_dataset, expected, strict=True):
        assert list(example.reference_logps) == pytest.approx(logps, abs=1e-4)
    assert run.model.training
    assert float(one_at_a_time(run.model.eval(), examples[0])[0].sum()) != pytest.approx(expected[0][0], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "adapted"),
    [("llama", True), pytest.param("gpt-neo", False, marks=SLOW), pytest.param("t5", True, marks=SLOW)],
)
def test_dpo_starts_at_log_two_and_learns_the_preference(name: str, adapted: bool, tmp_path: Path) -> None:
    model = Lora(r=4, dropout=0.0).wrap(make(name), "nowhere") if adapted else make(name)
    settings = {"optim": "adamw_torch", "learning_rate": 0.02, "max_steps": 15, "logging_steps": 1}
    run = trainer(tmp_path, model, DPO(beta=0.5), Examples(make_examples(4)), **settings)
    run.train()
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < 0.4


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("name", ["llama", "t5"])
@pytest.mark.slow
@pytest.mark.parametrize("loss", [KD(), GKD(), MiniLLM(text=0.1), MiniLLMCode(text=0.1)], ids=lambda loss: loss.type)
def test_a_student_comes_nearer_to_its_teacher(loss: Loss, name: str, adapted: bool, tmp_path: Path) -> None:
    """By the loss, or the reverse KL of many samples, on the prompts that it learnt from."""
    model = Lora(r=8, alpha=16, dropout=0.0).wrap(make(name), "nowhere") if adapted else make(name)
    teacher = make(name, seed=5)
    run = PladTrainer(
        model,
        arguments(tmp_path, optim="adamw_torch", learning_rate=0.01, max_steps=50, logging_steps=5),
        learnt := data(loss, 4),
        Examples([*learnt] * 32),
        processing_class=letters(),
        loss=loss,
        teacher=teacher,
        text=TEXT if with_text(loss) else None,
        max_new_tokens=4,
    )
    before = run.evaluate()
    run.train()
    key = "eval_reverse_kl" if with_text(loss) else "eval_loss"
    assert run.evaluate()[key] < 0.8 * before[key]
    if loss.rollout():
        lengths = [entry["length"] for entry in run.state.log_history if "loss" in entry]
        assert all(1 <= length <= 4 for length in lengths), "the mean number of tokens of the samples"


def test_dropout_is_left_out_where_the_loss_wants_none(tmp_path: Path) -> None:
    """The student still is what drew the samples, so that the weight of each is that of its drawing."""
    without, found = dropping(), []
    for layer in without.model.layers:
        layer.self_attn.attention_dropout = 0.0
    for model in (dropping(), without):
        trainer(tmp_path, model, MiniLLMCode(), data(MiniLLMCode()), max_steps=2).train()
        found.append(weights(model))
    assert_equal(found[1], found[0], atol=0)


@pytest.mark.parametrize(("name", "copies"), [("llama", 1), ("gpt-neo", 2), ("t5", 1)])
def test_tokens_are_counted_and_padding_is_not(name: str, copies: int, tmp_path: Path) -> None:
    """Two epochs: a prompt once, or, in a row of its own for each response, twice."""
    examples = make_examples(7)
    run = trainer(tmp_path, make(name), DPO(), Examples(examples), num_train_epochs=2)
    run.train()
    each = [copies * len(e.prompt) + sum(map(len, e.responses)) for e in examples]
    assert run.tokens_trained == 2 * sum(each)


def test_rows_of_prompts_are_enough_to_sample_from(tmp_path: Path) -> None:
    run = trainer(tmp_path, make("llama"), GKD(), Dataset.from_dict({"prompt": ["ab", "cde"]}), max_steps=1)
    assert [list(example.responses) for example in run.train_dataset] == [[], []]
    run.train()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    plain = (make("llama"), arguments(tmp_path), prompts(2))
    with pytest.raises(PladError, match=r"KD compares with a teacher's distributions\. Give teacher=MODEL\."):
        PladTrainer(*plain, processing_class=letters(), loss=KD())
    with pytest.raises(PladError, match="Give text=EXAMPLES, or set its text to 0"):
        PladTrainer(*plain, processing_class=letters(), loss=MiniLLM(), teacher=make("qwen2"))
    run = trainer(tmp_path, make("llama"), DPO(), Examples(make_examples(4)), max_steps=1)
    run.train()
    with pytest.raises(PladError, match="training has begun"):
        run.evaluate(Examples(make_examples(2)))
