"""A reward model trained whole, on tiny models of both kinds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from plad.errors import PladError
from plad.records import PreferencePair, Prompt
from plad.scoring import RewardModel
from plad.scoring.reward_training import RewardTraining

NOUNS = ["cat", "dog", "list", "numbers"]


def pairs(start: int, count: int) -> list[PreferencePair]:
    """The better response has "sorts" in it, at the same length."""
    return [
        PreferencePair(str(n), f"the {NOUNS[n % 4]} {n}", f"it sorts {NOUNS[n % 3]}", f"it ran {NOUNS[n % 3]}")
        for n in range(start, start + count)
    ]


@pytest.mark.parametrize("kind", ["tiny_bert", "base_llama", "tiny_llama"])
def test_encoders_and_decoders_learn_what_is_preferred(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    trainer = RewardTraining(model=request.getfixturevalue(kind), lr=3e-3, epochs=6, pairs_per_step=8)
    done: list[int] = []
    accuracy = trainer.train_to(tmp_path / "reward", pairs(0, 48), pairs(100, 12), done.append)
    assert [(row["kind"], row["n"]) for row in accuracy] == [("pair", 12), ("length control", 12)]
    assert accuracy[0]["value"] == 1.0
    assert accuracy[1]["value"] == 0.5
    assert sum(done) == 6 * 48
    assert json.loads((tmp_path / "reward" / "accuracy.json").read_text()) == accuracy
    # What comes out is what the recipe's scorer loads.
    scorer = RewardModel(model=str(tmp_path / "reward"))
    good, bad = scorer.score([Prompt("1", "the cat 7")] * 2, ["it sorts cat", "it ran cat"])
    assert good > bad


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone(tiny_bert: str, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        trainer = RewardTraining(model=tiny_bert, lr=1e-3, seed=seed)
        trainer.train_to(tmp_path / name, pairs(0, 24), pairs(100, 4))
    one, same, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other
    assert torch.equal(torch.get_rng_state(), state)


def test_rewards_while_training_are_those_of_the_scorer(tiny_deberta: str) -> None:
    scorer = RewardModel(model=tiny_deberta)
    prompts, texts = [Prompt("1", "the cat"), Prompt("2", "a list of numbers")], ["sat .", "returns it it it"]
    rewards_N = scorer.rewards(scorer._model, prompts, texts)
    assert rewards_N.tolist() == pytest.approx(scorer.score(prompts, texts), abs=1e-5)
    assert all(math.isfinite(value) for value in rewards_N.tolist())


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PladError, match="is no model to start from"):
        RewardTraining(model=str(tmp_path)).train_to(tmp_path / "r", pairs(0, 4), pairs(9, 1))
