"""Values and gradients of the losses, worked out by hand on numbers that a pencil can check."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from plad.errors import PladError
from plad.losses import LOSSES, Loss, MarginCalibration, NegativeLogLikelihood, RankingCalibration, Sequences


def scored(*examples: tuple[list[float], list[float]], scores: list[list[float]] | None = None) -> Sequences:
    """Sequences of pairs of lists of token log-probabilities, padded with 0."""
    longest = max(len(tokens) for pair in examples for tokens in pair)
    rows = [[tokens + [0.0] * (longest - len(tokens)) for tokens in pair] for pair in examples]
    lengths = torch.tensor([[len(tokens) for tokens in pair] for pair in examples])
    token_logps = torch.tensor(rows, requires_grad=True)
    return Sequences(token_logps, lengths, None if scores is None else torch.tensor(scores))


def gradient(loss: Loss, sequences: Sequences) -> Tensor:
    loss(sequences).loss.backward()
    assert sequences.token_logps_BRT.grad is not None
    return sequences.token_logps_BRT.grad


# Means: −1 and −2 in the first pair (gap 1), −3 and −2.5 in the second (gap −0.5).
TWO_PAIRS = (([-0.5, -1.5], [-1.0, -2.0, -3.0]), ([-3.0], [-2.0, -3.0]))


def test_mean_divides_by_the_tokens_and_sum_does_not() -> None:
    sequences = scored(*TWO_PAIRS)
    torch.testing.assert_close(sequences.logps("mean"), torch.tensor([[-1.0, -2.0], [-3.0, -2.5]]))
    torch.testing.assert_close(sequences.logps("sum"), torch.tensor([[-2.0, -6.0], [-3.0, -5.0]]))


def test_a_missing_response_has_log_likelihood_zero_and_not_nan() -> None:
    sequences = Sequences(torch.zeros(1, 2, 3), torch.tensor([[3, 0]]))
    assert sequences.logps("mean").tolist() == [[0.0, 0.0]]


def test_ranking_sums_the_hinges_and_counts_the_pairs() -> None:
    # β = 1.25: max(0, 1.25 − 1) + max(0, 1.25 + 0.5) = 0.25 + 1.75
    output = RankingCalibration(margin=1.25)(scored(*TWO_PAIRS))
    assert output.loss.item() == pytest.approx(2.0)
    assert output.units.item() == 2
    assert output.active is not None
    assert output.active.item() == 2


@pytest.mark.parametrize("loss", [RankingCalibration(margin=1.25, anchor=0.5), MarginCalibration(margin=1, anchor=0.5)])
def test_the_anchor_adds_the_chosen_ones_negative_log_likelihood(loss: RankingCalibration | MarginCalibration) -> None:
    # The hinges of this pair of pairs without an anchor, and ½·(1 + 3) for log-likelihoods of −1 and −3.
    sequences = scored(*TWO_PAIRS, scores=[[1.0, 0.0], [2.0, 3.0]])
    plain = loss.model_copy(update={"anchor": 0.0})(sequences)
    output = loss(sequences)
    assert output.loss.item() - plain.loss.item() == pytest.approx(2.0)
    assert output.active is None, "every pair has a gradient"
    assert output.metrics["active"] == plain.metrics["active"]


def test_ranking_gradient_is_one_over_the_length_where_the_hinge_is_active() -> None:
    # β = 0.75: the first pair's gap of 1 is enough, so only the second pair pulls.
    assert gradient(RankingCalibration(margin=0.75), scored(*TWO_PAIRS)).tolist() == [
        [[0, 0, 0], [0, 0, 0]],
        [[-1, -1, -1], [0.5, 0.5, 0.5]],
    ]


def test_ranking_on_sums() -> None:
    # Gaps of sums are 4 and 2; β = 3 leaves max(0, −1) + max(0, 1).
    loss = RankingCalibration(margin=3, normalise="sum")
    assert loss(scored(*TWO_PAIRS)).loss.item() == pytest.approx(1.0)
    assert gradient(loss, scored(*TWO_PAIRS))[1].tolist() == [[-1, -1, -1], [1, 1, 1]]


def test_margin_zero_still_ranks() -> None:
    assert RankingCalibration(margin=0)(scored(*TWO_PAIRS)).loss.item() == pytest.approx(0.5)


def test_margin_target_is_proportional_to_the_score_gap() -> None:
    # β = 2, score gaps 0.75 and 0.25: max(0, 1.5 − 1) + max(0, 0.5 + 0.5)
    sequences = scored(*TWO_PAIRS, scores=[[1.0, 0.25], [0.5, 0.25]])
    assert MarginCalibration(margin=2)(sequences).loss.item() == pytest.approx(1.5)
    assert gradient(MarginCalibration(margin=2), sequences)[0, :, 0].tolist() == pytest.approx([-1 / 2, 1 / 3])


def test_margin_target_is_negative_where_the_student_was_better() -> None:
    # Score gaps −0.4: the pair may be turned round by 0.4 and no more. Gaps 1 and −0.5: max(0, −1.4) + max(0, 0.1)
    sequences = scored(*TWO_PAIRS, scores=[[0.1, 0.5], [0.1, 0.5]])
    output = MarginCalibration(margin=1)(sequences)
    assert output.loss.item() == pytest.approx(0.1)
    assert output.metrics["active"].item() == 1


def test_margin_without_scores_names_the_remedy() -> None:
    with pytest.raises(PladError, match="type: ranking"):
        MarginCalibration()(scored(*TWO_PAIRS))


def test_metrics_are_sums_over_the_pairs_and_carry_no_gradient() -> None:
    metrics = RankingCalibration(margin=1)(scored(*TWO_PAIRS)).metrics
    assert {name: value.item() for name, value in metrics.items()} == {
        "margin": pytest.approx(0.5),
        "accuracy": 1,
        "active": 1,  # a gap of exactly β is enough
        "chosen_logp": pytest.approx(-4.0),
        "rejected_logp": pytest.approx(-4.5),
    }
    assert not any(value.requires_grad for value in metrics.values())


def test_nll_sums_over_tokens_and_counts_them() -> None:
    sequences = Sequences(
        torch.tensor([[[math.log(0.5), math.log(0.25)]], [[math.log(0.125), 0.0]]], requires_grad=True),
        torch.tensor([[2], [1]]),
    )
    output = NegativeLogLikelihood()(sequences)
    assert output.loss.item() == pytest.approx(6 * math.log(2))
    assert output.units.item() == 3
    assert gradient(NegativeLogLikelihood(), sequences).tolist() == [[[-1, -1]], [[-1, -1]]]


@pytest.mark.parametrize("loss", [RankingCalibration(margin=2), MarginCalibration(margin=2)])
def test_two_halves_add_up_to_the_whole(loss: Loss) -> None:
    whole = loss(scored(*TWO_PAIRS, scores=[[1.0, 0.0], [0.5, 0.0]]))
    halves = [
        loss(scored(TWO_PAIRS[0], scores=[[1.0, 0.0]])),
        loss(scored(TWO_PAIRS[1], scores=[[0.5, 0.0]])),
    ]
    assert whole.loss.item() == pytest.approx(sum(half.loss.item() for half in halves))
    assert whole.units.item() == sum(half.units.item() for half in halves)


def test_units_of_lengths_are_those_of_the_output() -> None:
    lengths = torch.tensor([[2, 3], [1, 2]])
    assert RankingCalibration().units(lengths).item() == 2
    assert NegativeLogLikelihood().units(lengths[:, :1]).item() == 3


@pytest.mark.parametrize("setting", [{"margin": -0.1}, {"margin": math.inf}, {"normalise": "median"}, {"beta": 1.0}])
def test_impossible_settings_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RankingCalibration(**setting)


def test_every_loss_is_found_by_its_own_type() -> None:
    assert {name: loss().type for name, loss in LOSSES.items()} == {name: name for name in LOSSES}
    assert {name for name, loss in LOSSES.items() if loss.needs_scores} == {"margin", "lipo"}
    assert {name for name, loss in LOSSES.items() if loss.needs_reference} == {"dpo", "ipo", "lipo"}
    white_box = {"kd", "f_kl", "f_rkl", "f_js", "f_tvd", "minillm", "minillm_code", "gkd", "distillm2"}
    assert {name for name, loss in LOSSES.items() if loss.needs_teacher} == white_box
    assert {name for name, loss in LOSSES.items() if loss().rollout()} == {"minillm", "minillm_code", "gkd"}
    assert {name for name, loss in LOSSES.items() if loss.responses == 1} == {"nll", "kd", "f_kl", "f_rkl", "gkd"}
