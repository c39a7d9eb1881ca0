"""What a training's curve tells of its going wrong; every curve is made up, and every threshold counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from test_run_training import SETTINGS, run
from transformers import TrainerState

from plad.training.run import _callback
from plad.training.watch import FEWEST, WINDOW, concerns


def curve(name: str, values: list[float]) -> list[dict[str, float]]:
    """A log every ten steps, with a quiet loss where the curve is another's."""
    return [{"step": 10 * k, "loss": 1.0, name: value} for k, value in enumerate(values, start=1)]


def test_a_quiet_curve_and_a_learning_one_raise_no_concern() -> None:
    assert concerns([]) == {}
    assert concerns(curve("loss", [3.0, 2.5, 2.2, 2.0, 1.9, 1.8, 1.75, 1.7, 1.68, 1.66, 1.65, 1.64])) == {}
    noisy = [9.0 + 0.5 * (-1) ** k for k in range(40)]
    assert concerns(curve("loss", noisy)) == {}
    small = [0.02, 0.05, 0.01, 0.04, 0.03, 0.02, 0.05, 0.01, 0.04, 0.03, 0.02, 0.3]
    assert concerns(curve("loss", small)) == {}, "a hinge that is nearly content jumps by less than half a nat"


def test_a_spike_is_told_with_its_step() -> None:
    losses = [2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 2.0, 7.5, 2.0, 1.9, 2.0]
    [sentence] = concerns(curve("loss", losses)).values()
    assert sentence.startswith("the loss jumped at step 110 from about 2 to 7.5. Try a lower learning_rate")
    twice = [*losses, 2.0, 8.0]
    assert "to 7.5 (2 times in all)" in concerns(curve("loss", twice))["spikes"]


def test_early_steps_have_nothing_to_be_compared_with() -> None:
    assert concerns(curve("loss", [1.0] * (WINDOW - 1) + [50.0])) == {}
    assert concerns(curve("margin", [0.0] * 7 + [99.0] * (FEWEST - 8))) == {}


def test_a_loss_that_rises_slowly() -> None:
    losses = [2.0 + 0.1 * k for k in range(20)]  # medians of the first and last four: 2.15 and 3.75
    assert concerns(curve("loss", losses)) == {
        "rising loss": "the loss rose from 2.15 to 3.75. Try a lower learning_rate or a longer warmup."
    }


@pytest.mark.parametrize(("last", "told"), [(6.9, False), (7.1, True)])
def test_a_margin_explodes_beyond_twice_the_rejected_answers_likelihood(last: float, told: bool) -> None:
    """At the beginning it is 0 and they are at −3.5, so that 7 is the threshold."""
    margins = [0.0] * 10 + [last] * 10
    steps = [{**entry, "rejected_logp": -3.5} for entry in curve("margin", margins)]
    assert ("exploding margin" in concerns(steps)) == told
    if told:
        assert "went from 0 to 7.1" in concerns(steps)["exploding margin"]


@pytest.mark.parametrize(
    ("first", "last", "told"), [(-4.0, -4.9, False), (-4.0, -5.1, True), (-1.0, -1.4, False), (-1.0, -1.6, True)]
)
def test_preferred_answers_that_become_unlikely(first: float, last: float, told: bool) -> None:
    """By more than a quarter, and by more than half a nat: from −4 below −5, from −1 below −1.5."""
    found = concerns(curve("chosen_logp", [first] * 10 + [last] * 10))
    assert ("unlearnt" in found) == told
    assert not told or "distill.loss.anchor" in found["unlearnt"]


@pytest.mark.parametrize(("last", "word"), [(9.0, "shorter"), (11.0, None), (39.0, None), (41.0, "longer")])
def test_samples_that_flee_into_length_or_out_of_it(last: float, word: str | None) -> None:
    found = concerns(curve("length", [20.0] * 10 + [last] * 10))
    assert (f"became ever {word}, from 20 to {last:.3g} tokens" in found.get("length", "")) == (word is not None)


def test_what_is_no_number_is_told_at_once() -> None:
    assert concerns([{"step": 4, "loss": 1.0, "grad_norm": math.inf}]) == {
        "no number": "at step 4 grad_norm was inf. Try a lower learning_rate or a longer warmup; in bf16, try fp32."
    }


def test_a_training_tells_each_once_while_it_goes_on() -> None:
    heard: list[str] = []
    reporter = _callback(None, heard.append)
    state = TrainerState(is_world_process_zero=True)
    for entry in curve("loss", [2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 2.0, 7.5, 2.0, 8.5]):
        state.log_history.append(entry)
        reporter.on_log(None, state, None, logs=entry)
    assert [sentence[:49] for sentence in heard] == ["the loss jumped at step 110 from about 2 to 7.5. "]


def test_a_sound_training_is_told_nothing(tmp_path: Path) -> None:
    heard: list[str] = []
    _, summary = run(
        tmp_path, settings=SETTINGS.model_copy(update={"max_steps": 20, "log_every": 1}), warn=heard.append
    )
    assert heard == []
    assert "warnings" not in summary
