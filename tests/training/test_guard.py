"""The guard against collapse: what it sees, by hand, and that a training under it is resumed to the byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import letters, make, make_examples

from plad.generation.hf import HFGenerator
from plad.losses import DPO, RankingCalibration
from plad.models import Lora, PromptFormat
from plad.records import Prompt
from plad.training.examples import Examples
from plad.training.guard import Guard, Probe, Vitals, look
from plad.training.guarding import Guarding
from plad.training.likelihood import base_model
from plad.training.run import Optimisation, train
from plad.training.score import response_logps

START = Vitals(0, -1.0, words=8.0, repetition=0.1, ended=1.0)
SETTINGS = Optimisation(
    batch_size=4,
    max_steps=7,
    checkpoint_every=2,
    log_every=1,
    schedule="constant_with_warmup",
    warmup=0,
    learning_rate=1e-2,
)


@pytest.mark.parametrize(
    ("now", "sign"),
    [
        (Vitals(5, -1.6, 8, 0.1, 1.0), "the preferred answers lost 0.60 nats a token of their likelihood"),
        (Vitals(5, -1.0, 20, 0.1, 1.0), "answers are 2.5 times as long as at the start"),
        (Vitals(5, -1.0, 2, 0.1, 1.0), "answers are 4.0 times as short as at the start"),
        (Vitals(5, -1.0, 8, 0.35, 1.0), "repetition rose from 10 to 35 %"),
        (Vitals(5, -1.0, 8, 0.1, 0.7), "the share of answers that end fell from 100 to 70 %"),
    ],
)
def test_each_sign_in_words(now: Vitals, sign: str) -> None:
    assert Guard().signs(now, START) == [sign]


def test_no_sign_within_the_limits_and_none_for_what_improves() -> None:
    assert Guard().signs(Vitals(5, -1.5, 16, 0.3, 0.8), START) == []
    assert Guard().signs(Vitals(5, 0.0, 8, 0.0, 1.0), START) == []
    assert Guard().signs(Vitals(5, -1.0, 0.0, 0.0, 1.0), Vitals(0, -1.0, 0.0, 0.0, 1.0)) == [], "empty at the start too"


def student(architecture: str = "llama") -> Any:
    torch.manual_seed(2)
    return Lora(r=2, dropout=0.2).wrap(make(architecture), "nowhere")


def greedy(model: Any) -> Callable[[], list[tuple[str, bool]]]:
    """The student's own answers."""
    from plad.generation.base import Sampling

    formatter = PromptFormat().bind(letters(), model.config.is_encoder_decoder)
    prompts = [Prompt(str(n), text) for n, text in enumerate(("abc", "why me", "z"))]
    sampling = Sampling(temperature=0, max_new_tokens=6)

    def answers() -> list[tuple[str, bool]]:
        found = HFGenerator(base_model(model), formatter).generate(prompts, sampling, seed=0)
        return [(answer.response, answer.finished) for answer in found]

    return answers


def test_what_is_seen_is_of_the_student_without_dropout() -> None:
    model, examples = student(), make_examples(5, responses=1)
    model.train()
    held_out = [("x", True)]
    probe = Probe(
        examples,
        lambda: [("a b c a b c", True), ("x", False)],
        lambda: held_out,
        lambda answers: 0.25 if answers == held_out else 0,
    )
    seen = look(model, 0, probe, step=3)
    assert model.training
    logps = [row[0] for row in response_logps(model.eval(), 0, examples)]
    assert seen == Vitals(3, pytest.approx(sum(logps) / 5), 3.5, 0.125, 0.5, 0.25)


def moved(model: Any) -> float:
    """How far the adapter has gone: 0 at the start, since its second matrix begins as zeros."""
    return float(sum(p.detach().abs().sum() for name, p in model.named_parameters() if "lora_B" in name))


def run(
    folder: Path, guard: Guard | None, keep_best: bool = False, crash_at: int | None = None, **settings: Any
) -> Any:
    """A training whose answers never end once it has begun, and whose win rate is some number of the weights."""
    model, said = settings.pop("model", None) or student(), []
    probe = Probe(
        make_examples(5, responses=1),
        lambda: [("a b c", moved(model) == 0)],
        list if keep_best else None,
        lambda answers: (moved(model) * 1e3) % 1,
    )

    def progress(done: int, total: int, logged: dict[str, float]) -> None:
        if done == crash_at:
            raise KeyboardInterrupt

    folder.mkdir(exist_ok=True)
    guarding = Guarding(guard, probe, 0, folder, keep_best, said.append) if guard else None
    examples, loss = Examples(make_examples(17)), settings.pop("loss", RankingCalibration())
    optimisation = SETTINGS.model_copy(update=settings)
    found = train(model, letters(), examples, loss, optimisation, folder, 3, progress=progress, guard=guarding)
    return model, found, said, guarding


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "guard.jsonl").read_text().splitlines()]


def equal(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_a_guard_that_tells_changes_nothing(architecture: str, tmp_path: Path) -> None:
    plain, expected, *_ = run(tmp_path / "plain", None, model=student(architecture))
    model = student(architecture)
    probe = Probe(make_examples(5, responses=1), greedy(model))
    (tmp_path / "told").mkdir()
    guard = Guarding(Guard(every=2), probe, 0, tmp_path / "told", False, print)
    found = train(
        model, letters(), Examples(make_examples(17)), RankingCalibration(), SETTINGS, tmp_path / "told", 3, guard=guard
    )
    assert found == expected
    assert equal(model, plain)
    assert [record["step"] for record in records(tmp_path / "told")] == [0, 2, 4, 6, 7], "the last step too"


@pytest.mark.parametrize("action", ["tell", "lower", "anchor"])
def test_a_crash_leaves_no_trace(action: Any, tmp_path: Path) -> None:
    guard = Guard(every=3, action=action)
    whole, expected, said, _ = run(tmp_path / "whole", guard, keep_best=True)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", guard, keep_best=True, crash_at=5)
    resumed, found, *_ = run(tmp_path / "broken", guard, keep_best=True)
    assert found == expected
    assert equal(resumed, whole)
    for name in ("guard.jsonl", "history.jsonl"):
        assert (tmp_path / "broken" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert len(said) == 3
    assert all("the share of answers that end fell from 100 to 0 %" in line for line in said)


def test_it_halves_the_rate_at_each_sign(tmp_path: Path) -> None:
    run(tmp_path, Guard(every=2, action="lower"))
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    # After steps 2, 4 and 6 it is half of what it was.
    rates = [row["learning_rate"] for row in rows if "loss" in row]
    assert rates == pytest.approx([1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3, 2.5e-3, 1.25e-3])


def test_it_raises_the_anchor_of_any_loss_of_pairs(tmp_path: Path) -> None:
    _, _, _, guarding = run(tmp_path, Guard(every=2, action="anchor"), loss=DPO())
    assert [record["anchor"] for record in records(tmp_path) if "anchor" in record] == pytest.approx(
        [0.1, 0.2, 0.4, 0.8]
    )
    assert guarding.trainer.loss.anchor == pytest.approx(0.8)


def test_it_ends_a_training_and_a_resumed_one_does_not_go_on(tmp_path: Path) -> None:
    guard = Guard(every=4, action="stop")
    model, found, said, _ = run(tmp_path, guard)
    assert found["steps"] == 4
    assert said[0].endswith("training ends here")
    again, second, *_ = run(tmp_path, guard, crash_at=5)  # the checkpoint is of step 4 too
    assert second["steps"] == 4
    assert equal(again, model)


def test_the_best_step_is_kept(tmp_path: Path) -> None:
    model, found, *_ = run(tmp_path / "best", Guard(every=1), keep_best=True)
    rates = {record["step"]: record["win_rate"] for record in records(tmp_path / "best")[1:]}
    assert found["kept_step"] == max(rates, key=lambda step: (rates[step], step))
    assert found["kept_step"] < 7, "or this would show nothing"
    shorter, *_ = run(tmp_path / "short", None, max_steps=found["kept_step"])
    assert equal(model, shorter), "the rate is constant, so that a shorter training ends there"
    assert len(list((tmp_path / "best").glob("kept-*.safetensors"))) <= 3


def test_of_equal_steps_the_last_is_kept_and_never_the_start(tmp_path: Path) -> None:
    guarding = Guarding(Guard(), Probe([], list), 0, tmp_path, True, print)
    guarding.records = [{"step": step, "win_rate": rate} for step, rate in ((0, 0.9), (2, 0.4), (4, 0.5), (6, 0.5))]
    assert (guarding._best(), guarding._best(before=2), guarding._best(before=1)) == (6, 2, None)
