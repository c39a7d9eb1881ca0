"""Losses over lists: one list that a pencil can check, and slow float64 loops over unpadded ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from plad.losses import RRHF, LiPO, Listwise, Loss, Sequences, SimPO

LN2 = math.log(2)


def three(**told: list[float]) -> Sequences:
    """y⁺ of two tokens of probability ½; two others of one token: ¼, ⅛. Means −ln 2, −2 ln 2, −3 ln 2."""
    rows = [[-LN2, -LN2], [-2 * LN2, 0.0], [-3 * LN2, 0.0]]
    logps = torch.tensor([rows], dtype=torch.float64, requires_grad=True)
    extra = {f"{name}_BR": torch.tensor([value], dtype=torch.float64) for name, value in told.items()}
    return Sequences(logps, torch.tensor([[2, 1, 1]]), **extra)  # type: ignore[arg-type]


def value_and_gradient(loss: Loss, sequences: Sequences) -> tuple[float, list[float]]:
    """The loss, and its derivative by the first token of each response."""
    output = loss(sequences)
    output.loss.backward()
    assert output.units.item() == 1
    assert sequences.token_logps_BRT.grad is not None
    return output.loss.item(), sequences.token_logps_BRT.grad[0, :, 0].tolist()


def test_listwise() -> None:
    # β = 1: ½ : ¼ : ⅛, so that y⁺ has 4/7. The gradient by a mean is share − 1 and share; y⁺ has two tokens.
    value, gradient = value_and_gradient(Listwise(beta=1), three())
    assert value == pytest.approx(math.log(7 / 4))
    assert gradient == pytest.approx([-3 / 7 / 2, 2 / 7, 1 / 7])


def test_listwise_of_two_is_simpo_without_its_margin() -> None:
    pair = Sequences(torch.tensor([[[-1.0], [-1.5]]]), torch.ones(1, 2, dtype=torch.long))
    assert Listwise(beta=2)(pair).loss.item() == pytest.approx(SimPO(beta=2, gamma=0)(pair).loss.item())


def test_lipo() -> None:
    # Sums −2 ln 2, −2 ln 2, −3 ln 2; under q₀ −2 ln 2, −3 ln 2 and −3 ln 2: s = 0, ln 2, 0 at β = 1. The student's own
    # places: 2, 1, 3 (of equals the first). Scores 3, 2, 1 make labels 1, ½, 0.
    sequences = three(scores=[3, 2, 1], reference_logps=[-2 * LN2, -3 * LN2, -3 * LN2])
    gain, discount = [2, math.sqrt(2), 1], [1 / math.log(3), 1 / LN2, 1 / math.log(4)]
    first = (gain[0] - gain[1]) * (discount[1] - discount[0])  # y⁺ over the second: σ(−ln 2) = ⅓
    second = (gain[0] - gain[2]) * (discount[0] - discount[2])  # over the third: σ(0) = ½
    third = (gain[1] - gain[2]) * (discount[1] - discount[2])  # the second over the third: σ(ln 2) = ⅔
    value, gradient = value_and_gradient(LiPO(beta=1), sequences)
    assert value == pytest.approx(first * math.log(3) + second * LN2 + third * math.log(3 / 2))
    pulls = [first * 2 / 3, second / 2, third / 3]
    assert gradient == pytest.approx([-pulls[0] - pulls[1], pulls[0] - pulls[2], pulls[1] + pulls[2]])


def test_lipo_takes_a_scorers_order_and_not_its_scale() -> None:
    reference = [-2 * LN2, -3 * LN2, -3 * LN2]
    one, other = (LiPO()(three(scores=s, reference_logps=reference)).loss for s in ([3, 2, 1], [900, 0.2, -70]))
    assert one == other
    tied = LiPO(beta=1)(three(scores=[1, 1, 1], reference_logps=reference))
    assert tied.loss.item() == 0, "nothing is better than anything"


def test_rrhf() -> None:
    # Both hinges are content; the text of y⁺ has −2 ln 2, or −ln 2 a token.
    assert value_and_gradient(RRHF(), three()) == (pytest.approx(2 * LN2), pytest.approx([-1, 0, 0]))
    assert value_and_gradient(RRHF(text="mean", weight=0.5), three())[0] == pytest.approx(LN2 / 2)
    # The other way round: y⁺ has a mean of −3 ln 2, the others −ln 2 and −2 ln 2: hinges of 2 ln 2 and ln 2.
    worse = torch.tensor([[[-3 * LN2], [-LN2], [-2 * LN2]]], dtype=torch.float64, requires_grad=True)
    sequences = Sequences(worse, torch.ones(1, 3, dtype=torch.long))
    assert value_and_gradient(RRHF(weight=0), sequences) == (pytest.approx(3 * LN2), pytest.approx([-2, 1, 1]))


def test_metrics_are_means_over_a_lists_pairs() -> None:
    output = Listwise()(three())
    assert {name: value.item() for name, value in output.metrics.items()} == {
        "margin": pytest.approx(1.5 * LN2),
        "accuracy": 1,
        "chosen_logp": pytest.approx(-LN2),
        "rejected_logp": pytest.approx(-2.5 * LN2),
    }


def test_a_list_counts_by_the_mean_weight_of_its_pairs() -> None:
    plain, weighted = Listwise()(three()), Listwise()(three(weights=[1.0, 0.5, 2.5]))
    assert weighted.loss.item() == pytest.approx(1.5 * plain.loss.item())
    assert weighted.units == plain.units


def slow(loss: Loss, responses: list[Tensor], scores: list[float], before: list[float]) -> Tensor:
    """Each formula once more, on a list of unpadded responses."""
    means = [one.sum() / len(one) for one in responses]
    if isinstance(loss, Listwise):
        shares = [(loss.beta * one).exp() for one in means]
        return -(shares[0] / sum(shares)).log()
    if isinstance(loss, RRHF):
        return sum(torch.relu(one - means[0]) for one in means[1:]) - loss.weight * responses[0].sum()
    assert isinstance(loss, LiPO)
    s = [loss.beta * (one.sum() - was) for one, was in zip(responses, before, strict=True)]
    others = len(scores) - 1
    labels = [
        sum((a > b) + (a == b) / 2 for j, b in enumerate(scores) if j != i) / others for i, a in enumerate(scores)
    ]
    places = [1 + sum(float(b) > float(a) for b in s) for a in s]
    total = torch.zeros((), dtype=torch.float64)
    for i, a in enumerate(s):
        for j, b in enumerate(s):
            if labels[i] > labels[j]:
                gain = 2 ** labels[i] - 2 ** labels[j]
                drop = abs(1 / math.log(1 + places[i]) - 1 / math.log(1 + places[j]))
                total = total + gain * drop * (1 + (b - a).exp()).log()
    return total


@pytest.mark.parametrize("loss", [Listwise(), LiPO(beta=0.5), RRHF(weight=0.3)], ids=lambda loss: loss.type)
def test_values_and_gradients_against_a_slow_loop_over_unpadded_lists(loss: Loss) -> None:
    torch.manual_seed(7)
    counts = [5, 2, 3, 4, 2, 3]  # responses of each list
    lengths = torch.randint(1, 7, (6, 5)) * (torch.arange(5) < torch.tensor(counts)[:, None])
    logps = -torch.rand(6, 5, 6, dtype=torch.float64) * 3
    real = torch.arange(6) < lengths[..., None]
    scores, reference = torch.randn(6, 5, dtype=torch.float64).round(decimals=1), -torch.rand(6, 5, dtype=torch.float64)
    ours, theirs = (torch.where(real, logps, 0).requires_grad_() for _ in range(2))
    output = loss(Sequences(ours, lengths, scores_BR=scores, reference_logps_BR=reference * lengths))
    output.loss.backward()
    total = torch.stack(
        [
            slow(
                loss,
                [theirs[b, r, : lengths[b, r]] for r in range(counts[b])],
                scores[b, : counts[b]].tolist(),
                (reference * lengths)[b, : counts[b]].tolist(),
            )
            for b in range(6)
        ]
    ).sum()
    total.backward()
    assert output.units.item() == 6
    torch.testing.assert_close(output.loss, total)
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad * real, theirs.grad)
    assert bool(ours.grad.isfinite().all())


@pytest.mark.parametrize("loss", [Listwise(), LiPO(), RRHF()], ids=lambda loss: loss.type)
def test_a_list_of_one_is_no_unit_and_adds_nothing(loss: Loss) -> None:
    logps = torch.tensor([[[-1.0], [0.0]], [[-1.0], [-0.5]]], requires_grad=True)
    lengths = torch.tensor([[1, 0], [1, 1]])
    told = {"scores_BR": torch.tensor([[1.0, 0.0], [1.0, 0.0]]), "reference_logps_BR": torch.zeros(2, 2)}
    both = loss(Sequences(logps, lengths, **told))
    alone = loss(Sequences(logps[1:], lengths[1:], **{name: value[1:] for name, value in told.items()}))
    assert both.units == alone.units == 1
    assert both.loss.item() == pytest.approx(alone.loss.item())
    assert {k: v.item() for k, v in both.metrics.items()} == {k: v.item() for k, v in alone.metrics.items()}


def test_an_anchor_adds_the_likelihood_of_the_preferred_response() -> None:
    """By what the loss compares: means of Listwise (−ln 2 a token), sums of LiPO (−2 ln 2)."""
    plain, anchored = (value_and_gradient(Listwise(beta=1, anchor=a), three()) for a in (0, 3))
    assert anchored[0] - plain[0] == pytest.approx(3 * LN2)
    assert [a - b for a, b in zip(anchored[1], plain[1], strict=True)] == pytest.approx([-3 / 2, 0, 0])
    told = {"scores": [1.0, 1, 1], "reference_logps": [-2 * LN2, -3 * LN2, -3 * LN2]}
    assert value_and_gradient(LiPO(anchor=3), three(**told)) == (pytest.approx(6 * LN2), pytest.approx([-3, 0, 0]))
