"""The Trainer: exact averages, evaluation, resuming, and every kind of model it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from tiny import letters, make, make_examples, one_at_a_time
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainingArguments

from plad.errors import PladError
from plad.losses import Loss, MarginCalibration, NegativeLogLikelihood, RankingCalibration
from plad.models import Lora
from plad.training.examples import Examples
from plad.training.layout import Example
from plad.training.trainer import PladTrainer

NLL, RANKING = NegativeLogLikelihood(), RankingCalibration(margin=3)


def arguments(folder: Path, **settings: Any) -> TrainingArguments:
    plain = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "optim": "sgd",
        "learning_rate": 0.05,
        "lr_scheduler_type": "constant",
        "logging_steps": 1000,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return TrainingArguments(**(plain | settings))


def trainer(
    folder: Path, model: Any, train: Any, loss: Loss = RANKING, evaluation: Any = None, **settings: Any
) -> PladTrainer:
    return PladTrainer(model, arguments(folder, **settings), train, evaluation, processing_class=letters(), loss=loss)


def weights(model: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


def by_hand(model: Any, loss: Loss, examples: list[Example]) -> tuple[Tensor, int]:
    """The loss summed over its units, and their number, one sequence at a time."""
    total, units = torch.zeros(()), 0
    for example in examples:
        logps = one_at_a_time(model, example)
        if isinstance(loss, NegativeLogLikelihood):
            total, units = total - logps[0].sum(), units + len(logps[0])
        else:
            total, units = total + (3 - logps[0].mean() + logps[1].mean()).clamp(min=0), units + 1
    return total, units


@pytest.mark.parametrize("loss", [NLL, RANKING])
def test_a_step_is_the_gradient_of_the_average_over_the_whole_batch(loss: Loss, tmp_path: Path) -> None:
    examples = make_examples(8, loss.responses, longest=15)
    model, twin = make("llama"), make("llama")
    total, units = by_hand(twin, loss, examples)
    (total / units).backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter -= 0.05 * parameter.grad
    trainer(
        tmp_path,
        model,
        Examples(examples),
        loss,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        max_grad_norm=0,
        max_steps=1,
    ).train()
    assert_equal(weights(model), weights(twin), atol=1e-6)


@pytest.mark.parametrize("loss", [NLL, RANKING])
def test_accumulation_changes_no_step(loss: Loss, tmp_path: Path) -> None:
    """Also across epochs and the short batch at the end of one: 20 examples in steps of 8, for 7 steps."""
    examples = make_examples(20, loss.responses, longest=20)
    assert len({len(y) for e in examples for y in e.responses}) > 3
    found, losses = [], []
    for held, times in ((8, 1), (1, 8), (2, 4)):
        model = make("llama")
        run = trainer(
            tmp_path,
            model,
            Examples(examples),
            loss,
            per_device_train_batch_size=held,
            gradient_accumulation_steps=times,
            max_steps=7,
            logging_steps=1,
        )
        run.train()
        found.append(weights(model))
        losses.append([entry["loss"] for entry in run.state.log_history if "loss" in entry])
    assert (found[0]["lm_head.weight"] - make("llama").state_dict()["lm_head.weight"]).abs().max() > 1e-2
    for other in found[1:]:
        assert_equal(other, found[0], atol=1e-6)
    assert losses[1] == pytest.approx(losses[0], abs=2e-4)
    assert losses[2] == pytest.approx(losses[0], abs=2e-4)


CHAT = "{% for m in messages %}{{ m.role[0] }}{{ m.content }}.{% endfor %}{% if add_generation_prompt %}a{% endif %}"
ROWS = {"prompt": ["ab?", "cd", "e", "f"], "chosen": ["yes", "no", "x", "yy"], "rejected": ["n", "ooo", "zz", "w"]}


def test_a_real_dataset_plain_and_conversational(tmp_path: Path) -> None:
    turns = {
        "prompt": [[{"role": "user", "content": text}] for text in ROWS["prompt"]],
        "chosen": [[{"role": "assistant", "content": text}] for text in ROWS["chosen"]],
        "rejected": [[{"role": "assistant", "content": text}] for text in ROWS["rejected"]],
    }
    tokenizer = letters(chat_template=CHAT)
    for columns, prompt in ((ROWS, "ab?"), (turns, "uab?.a")):
        run = PladTrainer(
            make("llama"),
            arguments(tmp_path, max_steps=2),
            datasets.Dataset.from_dict(columns),
            datasets.Dataset.from_dict(columns),
            processing_class=tokenizer,
        )
        first = run.train_dataset[0]
        spelt = ["".join(tokenizer.convert_ids_to_tokens(list(ids))) for ids in (first.prompt, *first.responses)]
        assert spelt == [prompt, "yes.", "n."]
        run.train()
        assert run.evaluate()["eval_loss"] >= 0


def test_scores_of_a_dataset_reach_the_loss(tmp_path: Path) -> None:
    """Margin calibration whose score gaps are all 1.5 and β 2 is ranking with β 3."""
    scores = {"chosen_score": [2.0, 1.0, 0.5, 1.5], "rejected_score": [0.5, -0.5, -1.0, 0.0]}
    data = datasets.Dataset.from_dict(ROWS | scores)
    margin, ranking = (
        trainer(tmp_path, make("llama"), data, loss, evaluation=data).evaluate()
        for loss in (MarginCalibration(margin=2), RANKING)
    )
    assert margin["eval_loss"] == pytest.approx(ranking["eval_loss"])
    with pytest.raises(PladError, match="None"):
        trainer(tmp_path, make("llama"), datasets.Dataset.from_dict(ROWS), MarginCalibration())


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict(ROWS).remove_columns("rejected")
    with pytest.raises(PladError, match="'rejected'"):
        trainer(tmp_path, make("llama"), data)


@pytest.mark.parametrize("held", [1, 3, 16])
@pytest.mark.parametrize("loss", [NLL, RANKING])
def test_eval_loss_is_the_average_over_all_units(loss: Loss, held: int, tmp_path: Path) -> None:
    examples, model = make_examples(7, loss.responses, longest=20), make("llama")
    total, units = by_hand(model, loss, examples)
    run = trainer(tmp_path, model, Examples(examples), loss, Examples(examples), per_device_eval_batch_size=held)
    assert run.evaluate()["eval_loss"] == pytest.approx(float(total) / units, rel=1e-5)


def test_evaluate_takes_rows_and_named_sets(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict(ROWS)
    run = trainer(tmp_path, make("llama"), data, evaluation={"some": data.select(range(2)), "all": data})
    found = run.evaluate()
    assert found["eval_all_loss"] == pytest.approx(run.evaluate(data)["eval_loss"])
    assert found["eval_some_loss"] != pytest.approx(found["eval_all_loss"])


def test_evaluation_is_without_dropout_and_training_with(tmp_path: Path) -> None:
    data = Examples(make_examples(4))
    run = trainer(tmp_path, dropping(), data, evaluation=data, max_steps=1)
    first = run.evaluate()["eval_loss"]
    assert run.evaluate()["eval_loss"] == first
    run.train()
    assert run.model.training
    assert run.evaluate()["eval_loss"] == run.evaluate()["eval_loss"]


@pytest.mark.parametrize("every", [1, 3])
def test_logged_metrics_are_averages_over_the_units_since_the_last_log(every: int, tmp_path: Path) -> None:
    """With a learning rate of 0 an epoch's average is that of the model we began with."""
    examples, model = make_examples(12), make("llama")
    gaps = [float(a.mean() - b.mean()) for a, b in (one_at_a_time(model, example) for example in examples)]
    run = trainer(
        tmp_path,
        model,
        Examples(examples),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=0.0,
        max_steps=6,
        logging_steps=every,
    )
    run.train()
    logged = [entry for entry in run.state.log_history if "loss" in entry]
    assert len(logged) == 6 // every
    expected = {
        "accuracy": sum(gap > 0 for gap in gaps),
        "margin": sum(gaps),
        "active": sum(gap < 3 for gap in gaps),
        "loss": sum(max(0.0, 3 - gap) for gap in gaps),
    }
    epoch = 3 // every
    for start in range(0, len(logged), epoch):  # the average of an epoch's entries is the epoch's
        for name, total in expected.items():
            found = sum(entry[name] for entry in logged[start : start + epoch]) / epoch
            assert found == pytest.approx(total / 12, abs=1e-4), name


def dropping() -> Any:
    torch.manual_seed(3)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=37,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            attention_dropout=0.3,
            initializer_range=0.4,
            bos_token_id=None,
        )
    )


class Crash(TrainerCallback):
    """The power goes at the end of a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("crash", [4, 8])  # within the first epoch of 5 steps, and within the second
def test_resuming_gives_the_same_bytes(adapted: bool, crash: int, tmp_path: Path) -> None:
    def begin(folder: Path) -> PladTrainer:
        model = dropping()
        if adapted:
            torch.manual_seed(4)
            model = Lora(r=2, dropout=0.3).wrap(model, "nowhere")
        return trainer(
            folder,
            model,
            Examples(make_examples(19)),
            optim="adamw_torch",
            lr_scheduler_type="linear",
            learning_rate=0.01,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            num_train_epochs=2,
            save_strategy="steps",
            save_steps=3,
            logging_steps=4,
        )

    whole = begin(tmp_path / "whole")
    whole.train()
    assert whole.state.global_step == 10
    broken = begin(tmp_path / "broken")
    broken.add_callback(Crash(crash))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    torch.manual_seed(999)
    torch.rand(7)
    resumed = begin(tmp_path / "broken")
    resumed.train(resume_from_checkpoint=True)
    assert_equal(weights(resumed.model), weights(whole.model), atol=0.0)

    def curve(run: PladTrainer) -> list[tuple[float, float]]:
        return [(entry["loss"], entry["margin"]) for entry in run.state.log_history if "loss" in entry]

    assert curve(resumed) == curve(whole)


@pytest.mark.parametrize("loss", [RANKING, NLL])
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_two_examples_are_learnt_by_heart(name: str, loss: Loss, tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict(
        {"prompt": ["ab", "cd"], "chosen": ["xyz", "no"], "rejected": ["no", "xyz"]}  # only the prompt tells which
    )
    run = trainer(
        tmp_path, make(name), data, loss, data, optim="adamw_torch", learning_rate=0.02, max_steps=100, warmup_steps=5
    )
    before, _, after = run.evaluate(), run.train(), run.evaluate()
    if loss is RANKING:
        assert (before["eval_accuracy"], after["eval_accuracy"]) == (0.5, 1.0)
        assert after["eval_loss"] == 0
    else:
        assert after["eval_loss"] < 0.05 < 1 < before["eval_loss"]


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt-neo", "t5"])
def test_gradient_checkpointing_changes_no_weight(name: str, adapted: bool, tmp_path: Path) -> None:
    found, layers = [], []
    for checkpointing in (False, True):
        model = make(name)
        if adapted:
            torch.manual_seed(4)
            model = Lora(r=2, dropout=0.0).wrap(model, "nowhere")
        before = weights(model)
        run = trainer(tmp_path, model, Examples(make_examples(8)), gradient_checkpointing=checkpointing, max_steps=3)
        run.train()
        found.append(weights(model))
        layers.append(sum(bool(getattr(module, "gradient_checkpointing", False)) for module in model.modules()))
        assert any(not torch.equal(value, before[key]) for key, value in found[-1].items())
    assert layers[0] == 0 < layers[1]
    assert_equal(found[1], found[0], atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "gemma2", "t5"])
def test_bf16_is_near_fp32(name: str, tmp_path: Path) -> None:
    examples = Examples(make_examples(8))
    losses = []
    for bf16 in (False, True):
        run = trainer(tmp_path, make(name), examples, evaluation=examples, bf16=bf16, max_steps=2, learning_rate=0.01)
        run.train()
        assert {p.dtype for p in run.model.parameters()} == {torch.float32}
        losses.append(run.evaluate()["eval_loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_model_trained_in_bf16_can_be_trained_again(tmp_path: Path) -> None:
    """It stays wrapped in autocast, which must not be taken for a layout that is not exact."""
    model, examples = make("llama"), Examples(make_examples(8))
    for _ in range(2):
        run = trainer(tmp_path, model, examples, bf16=True, max_steps=1)
        assert getattr(run._layout, "share_prefix", False)
        run.train()


def test_only_the_adapter_learns(tmp_path: Path) -> None:
    model = Lora(r=2).wrap(make("llama"), "nowhere")
    before = weights(model)
    trainer(tmp_path, model, Examples(make_examples(8)), max_steps=2).train()
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_best_model_is_the_one_that_comes_back(tmp_path: Path) -> None:
    """`load_best_model_at_end` works from our evaluation, where a learning rate explodes."""
    examples = Examples(make_examples(8))
    run = trainer(
        tmp_path,
        make("llama"),
        examples,
        NLL,
        examples,
        learning_rate=5.0,
        max_grad_norm=0,
        max_steps=4,
        save_strategy="steps",
        save_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        load_best_model_at_end=True,
    )
    run.train()
    losses = [entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry]
    assert run.state.best_metric == pytest.approx(min(losses))
    assert run.evaluate()["eval_loss"] == pytest.approx(min(losses), rel=1e-5)


def test_data_seed_zero_is_a_seed(tmp_path: Path) -> None:
    def order(seed: int) -> list[int]:
        return list(trainer(tmp_path, make("llama"), Examples(make_examples(40)), data_seed=seed)._get_train_sampler())

    assert order(0) != order(42), "42 is the Trainer's own default seed"
