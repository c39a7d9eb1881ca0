from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt
from plad.scoring import BradleyTerry
from plad.scoring.accuracy import accuracy_by_kind, length_control, wilson
from plad.scoring.head import HeadTraining, PairVectors, RewardHead, bradley_terry_loss, margins, train_head
from plad.scoring.negatives import Preference
from plad.scoring.trained import TrainedScorer

NOUNS = ["cat", "dog", "list", "numbers"]


def prompts(start: int, count: int) -> list[Prompt]:
    return [
        Prompt(
            str(row),
            f"the {NOUNS[row % 4]} sat {row} the two numbers sorts it",
            f"returns the {NOUNS[row % 4]} of it .",
        )
        for row in range(start, start + count)
    ]


def settings(**changes: object) -> HeadTraining:
    base = {"hidden": 8, "dropout": 0.0, "epochs": 10, "batch_size": 64, "lr": 1e-2, "weight_decay": 0.0, "seed": 0}
    return HeadTraining(**(base | changes))  # type: ignore[arg-type]


def unit(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape), dim=-1)


def pairs_by_last_coordinate(count: int) -> PairVectors:
    """The chosen response is the one whose last coordinate has the sign of the prompt's."""
    prompt, one, two = unit(count, 8), unit(count, 8), unit(count, 8)
    better = ((one[:, -1] - two[:, -1]) * prompt[:, -1] > 0).unsqueeze(-1)
    return PairVectors(prompt, torch.where(better, one, two), torch.where(better, two, one))


def test_the_loss_by_hand() -> None:
    # σ(0) = ½ and σ(ln 3) = ¾.
    loss = bradley_terry_loss(torch.tensor([0.0, math.log(3)]))
    assert float(loss) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_the_head_by_hand() -> None:
    head = RewardHead(2, hidden=1, dropout=0.0)
    with torch.no_grad():
        head.mlp[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]))
        head.mlp[0].bias.zero_()
        head.mlp[3].weight.fill_(2.0)
        head.mlp[3].bias.fill_(1.0)
    u, v = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    # u∗v = (.6, 0), |u−v| = (.4, .8), v = (.6, .8): .6 + 1.2 + 3.2 + 3.0 + 4.8 = 12.8, times √2, times 2, plus 1.
    assert head(u, v).item() == pytest.approx(10 * 0.6 + 2 * 12.8 * math.sqrt(2) + 1, rel=1e-6)


def test_a_head_learns_a_relation_between_prompt_and_response() -> None:
    torch.manual_seed(1)
    head = train_head(pairs_by_last_coordinate(2000), settings(hidden=32))
    held = margins(head, pairs_by_last_coordinate(500))
    assert (held > 0).float().mean() > 0.9


def test_equal_seeds_give_equal_heads_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    data, state = pairs_by_last_coordinate(100), torch.get_rng_state()
    one, same, other = (train_head(data, settings(epochs=2, dropout=0.5, seed=seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["mlp.0.weight"], other["mlp.0.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_train_save_and_load(tiny_bert: str, tmp_path: Path) -> None:
    spec = BradleyTerry(model=tiny_bert, epochs=2)
    answers = [Generation("0", "the dog ran")]
    judge = spec.train_on(prompts(0, 40), prompts(100, 12), answers, [Generation("100", "it it")])
    assert [row["kind"] for row in judge.accuracy] == ["mismatched", "corrupted", "copied", "model", "length control"]
    assert judge.pairs["mismatched"] == 4 * 40
    assert judge.pairs["model"] == 1
    assert [row["n"] for row in judge.accuracy if row["kind"] in ("mismatched", "model")] == [12, 1]

    for name in ("one", "two"):
        spec.train_on(prompts(0, 40), prompts(100, 12), answers, [Generation("100", "it it")]).save(tmp_path / name)
    judge.save(tmp_path / "three")
    for file in ("head.safetensors", "scorer.json"):
        assert len({(tmp_path / name / file).read_bytes() for name in ("one", "two", "three")}) == 1

    test, responses = prompts(200, 3), ["returns the cat .", " ", "sorts it"]
    scores = judge.score(test, responses)
    assert scores[1] == judge.floor < min(scores[0], scores[2])
    loaded = BradleyTerry(folder=tmp_path / "one")
    assert loaded.score(test, responses) == scores
    assert loaded.description == judge.description
    assert TrainedScorer.load(tmp_path / "one").accuracy == judge.accuracy


def test_pairs_of_any_origin_can_train(tiny_bert: str) -> None:
    training = [PreferencePair(str(row), f"the {row} cat", "returns the cat .", "dog dog dog") for row in range(20)]
    held = [PreferencePair(str(row), f"two {row} dog", "returns the cat .", "dog dog dog") for row in range(5)]
    judge = BradleyTerry(model=tiny_bert, epochs=200).train(training, held)  # one step an epoch
    assert [row["kind"] for row in judge.accuracy] == ["pair", "length control"]
    assert judge.accuracy[0]["value"] == 1


def test_a_prompt_on_both_sides_is_refused(tiny_bert: str) -> None:
    spec = BradleyTerry(model=tiny_bert)
    with pytest.raises(PladError, match="3 are on both sides"):
        spec.train_on(prompts(0, 10), prompts(7, 10))
    with pytest.raises(PladError, match="got 0 to train on and 0"):
        spec.train([], [])


def test_without_a_folder_there_is_no_score(tmp_path: Path) -> None:
    with pytest.raises(PladError, match="names no folder"):
        BradleyTerry().score(prompts(0, 1), ["x"])
    with pytest.raises(PladError, match=r"scorer\.json, but .* has none"):
        BradleyTerry(folder=tmp_path).score(prompts(0, 1), ["x"])


def test_wilson_by_its_published_example() -> None:
    # 8 of 10, as Agresti and Coull's formula and statsmodels give it.
    row = wilson(8, 10)
    assert (row["value"], row["n"]) == (0.8, 10)
    assert row["low"] == pytest.approx(0.4901625, abs=1e-6)
    assert row["high"] == pytest.approx(0.9433178, abs=1e-6)


def test_accuracy_counts_ties_as_half_and_length_takes_the_better_direction() -> None:
    def pair(chosen: str, rejected: str, kind: str) -> Preference:
        return Preference("1", "x", chosen, rejected, kind=kind)

    pairs = [pair("a b", "a", "p"), pair("a", "a b", "q"), pair("a", "b", "p"), pair("a", "a b", "q")]
    rows = accuracy_by_kind(pairs, [1.0, -1.0, 0.0, 2.0])
    assert [(row["kind"], row["value"], row["n"]) for row in rows] == [("p", 0.75, 2), ("q", 0.5, 2)]
    # Shorter is better in training (2 of 3 decided); in the pairs held out it is right once and once a tie.
    control = length_control(pairs, pairs[:3])
    assert (control["kind"], control["value"], control["n"]) == ("length control", 0.5, 3)
