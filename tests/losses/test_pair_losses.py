"""DPO, IPO, SimPO, ORPO and SLiC-HF on one pair that a pencil can check, and against slow float64 loops."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from plad.losses import DPO, IPO, ORPO, Loss, Sequences, SimPO, SlicHF

LN2 = math.log(2)


def pair(reference: list[float] | None = None) -> Sequences:
    """y⁺ has two tokens of probability ½, y⁻ one of ⅛: sums −2 ln 2 and −3 ln 2, means −ln 2 and −3 ln 2."""
    token_logps = torch.tensor([[[-LN2, -LN2], [-3 * LN2, 0.0]]], dtype=torch.float64, requires_grad=True)
    told = None if reference is None else torch.tensor([reference], dtype=torch.float64)
    return Sequences(token_logps, torch.tensor([[2, 1]]), reference_logps_BR=told)


def value_and_gradient(loss: Loss, sequences: Sequences) -> tuple[float, list[float]]:
    """The loss of the one pair, and its derivative by a token of y⁺ and the token of y⁻."""
    output = loss(sequences)
    output.loss.backward()
    gradient = sequences.token_logps_BRT.grad
    assert gradient is not None
    assert output.units.item() == 1
    assert gradient[0, 0, 0] == gradient[0, 0, 1], "the tokens of a response weigh the same"
    return output.loss.item(), [gradient[0, 0, 0].item(), gradient[0, 1, 0].item()]


def test_dpo() -> None:
    # Under q₀ both have −2 ln 2: h = 0 − (−ln 2) = ln 2. At β = 1 the loss is −log σ(ln 2) = −log ⅔.
    value, gradient = value_and_gradient(DPO(beta=1), pair([-2 * LN2, -2 * LN2]))
    assert value == pytest.approx(math.log(3 / 2))
    assert gradient == pytest.approx([-1 / 3, 1 / 3])  # −β·σ(−βh)


def test_dpo_starts_at_log_two_whatever_the_pair() -> None:
    value, gradient = value_and_gradient(DPO(beta=0.3), pair([-2 * LN2, -3 * LN2]))
    assert value == pytest.approx(LN2)
    assert gradient == pytest.approx([-0.15, 0.15])


def test_dpo_on_means() -> None:
    # Under q₀ the sums are −4 ln 2 and −3 ln 2, so the means −2 ln 2 and −3 ln 2: h = ln 2 − 0.
    value, gradient = value_and_gradient(DPO(beta=1, normalise="mean"), pair([-4 * LN2, -3 * LN2]))
    assert value == pytest.approx(math.log(3 / 2))
    assert gradient == pytest.approx([-1 / 6, 1 / 3])


def test_ipo() -> None:
    # h = ln 2 as above; the gap aimed at is 1/(2·¼) = 2.
    value, gradient = value_and_gradient(IPO(tau=0.25), pair([-2 * LN2, -2 * LN2]))
    assert value == pytest.approx((LN2 - 2) ** 2)
    assert gradient == pytest.approx([2 * (LN2 - 2), -2 * (LN2 - 2)])


def test_ipo_pulls_back_what_went_too_far() -> None:
    _, gradient = value_and_gradient(IPO(tau=1.0), pair([-2 * LN2, 0.0]))  # h = 3 ln 2 > ½
    assert gradient[0] == pytest.approx(2 * (3 * LN2 - 0.5))


def test_simpo() -> None:
    # Means are 2 ln 2 apart; β = 1, γ = ln 2 leave −log σ(ln 2).
    value, gradient = value_and_gradient(SimPO(beta=1, gamma=LN2), pair())
    assert value == pytest.approx(math.log(3 / 2))
    assert gradient == pytest.approx([-1 / 3 / 2, 1 / 3])


def test_orpo() -> None:
    # P is ½ and ⅛, the odds 1 and 1/7; −log σ(ln 7) = log 8/7. The likelihood adds ln 2.
    value, gradient = value_and_gradient(ORPO(weight=0.5), pair())
    assert value == pytest.approx(LN2 + 0.5 * math.log(8 / 7))
    # d log odds / d log P = 1/(1 − P): 2 and 8/7; dσ-term: −λ·σ(−ln 7) = −½·⅛.
    assert gradient == pytest.approx([(-1 - 0.5 / 8 * 2) / 2, 0.5 / 8 * 8 / 7])


def test_orpo_of_a_certain_response_is_finite() -> None:
    certain = Sequences(torch.zeros(1, 2, 1, requires_grad=True), torch.tensor([[1, 1]]))
    output = ORPO()(certain)
    output.loss.backward()
    assert math.isfinite(output.loss.item())
    assert certain.token_logps_BRT.grad is not None
    assert bool(certain.token_logps_BRT.grad.isfinite().all())


def test_slic_hf() -> None:
    # The hinge with δ = 2 lacks 2 − 2 ln 2; the target's mean log-likelihood is −ln 2.
    value, gradient = value_and_gradient(SlicHF(margin=2, weight=0.25), pair())
    assert value == pytest.approx(2 - 2 * LN2 + 0.25 * LN2)
    assert gradient == pytest.approx([(-1 - 0.25) / 2, 1])


def test_slic_hf_goes_on_teaching_the_target_once_the_hinge_is_content() -> None:
    sequences = pair()
    assert SlicHF(margin=1)(sequences).metrics["active"].item() == 0
    assert value_and_gradient(SlicHF(margin=1, weight=0.25), sequences)[1] == pytest.approx([-0.25 / 2, 0])


def slow(loss: Loss, chosen: Tensor, rejected: Tensor, before: tuple[float, float]) -> Tensor:
    """Each formula once more, on one pair of unpadded token log-probabilities, with exponentials written out."""
    plus, minus = chosen.sum() / len(chosen), rejected.sum() / len(rejected)
    h = (chosen.sum() - before[0]) - (rejected.sum() - before[1])
    if isinstance(loss, DPO):
        return (1 + (-loss.beta * h).exp()).log()
    if isinstance(loss, IPO):
        return h**2 - h / loss.tau + 1 / (4 * loss.tau**2)
    if isinstance(loss, SimPO):
        return (1 + (loss.gamma - loss.beta * (plus - minus)).exp()).log()
    if isinstance(loss, ORPO):
        ratio = (plus.exp() / (1 - plus.exp())) / (minus.exp() / (1 - minus.exp()))
        return -plus + loss.weight * (1 + 1 / ratio).log()
    assert isinstance(loss, SlicHF)
    return torch.relu(loss.margin - plus + minus) - loss.weight * plus


@pytest.mark.parametrize("loss", [DPO(), IPO(), SimPO(), ORPO(), SlicHF()], ids=lambda loss: loss.type)
def test_values_and_gradients_against_a_slow_loop_over_unpadded_pairs(loss: Loss) -> None:
    torch.manual_seed(3)
    lengths = torch.randint(1, 7, (9, 2))
    logps = -torch.rand(9, 2, 6, dtype=torch.float64) * 3
    real = torch.arange(6) < lengths[..., None]
    reference = -torch.rand(9, 2, dtype=torch.float64) * 8
    ours, theirs = (torch.where(real, logps, 0).requires_grad_() for _ in range(2))
    loss(Sequences(ours, lengths, reference_logps_BR=reference)).loss.backward()
    total = sum(
        slow(loss, theirs[b, 0, : lengths[b, 0]], theirs[b, 1, : lengths[b, 1]], tuple(reference[b].tolist()))
        for b in range(9)
    )
    total.backward()
    assert ours.grad is not None
    torch.testing.assert_close(loss(Sequences(ours, lengths, reference_logps_BR=reference)).loss, total)
    torch.testing.assert_close(ours.grad * real, theirs.grad)  # the engine has no token in the padding
    order = torch.randperm(9)
    shuffled = loss(Sequences(ours[order], lengths[order], reference_logps_BR=reference[order])).loss
    torch.testing.assert_close(shuffled, total)


def test_metrics_are_of_the_likelihood_that_is_compared() -> None:
    metrics = {loss.type: loss(pair([0.0, 0.0])).metrics for loss in (DPO(), SimPO())}
    assert metrics["dpo"]["margin"].item() == pytest.approx(LN2)
    assert metrics["simpo"]["margin"].item() == pytest.approx(2 * LN2)
    assert metrics["simpo"]["accuracy"].item() == 1
    assert not any(value.requires_grad for value in metrics["dpo"].values())


def test_a_relative_loss_without_its_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="reference log-probabilities"):
        DPO()(pair())


@pytest.mark.parametrize(
    ("loss", "setting"),
    [(DPO, {"beta": 0}), (IPO, {"tau": 0}), (SimPO, {"gamma": -1}), (ORPO, {"weight": math.inf}), (DPO, {"tau": 1})],
)
def test_settings_without_meaning_are_refused(loss: type[Loss], setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        loss(**setting)


@pytest.mark.parametrize("loss", [DPO, IPO, SimPO, ORPO], ids=lambda loss: loss.__name__)
def test_any_pair_loss_has_an_anchor(loss: type[Loss]) -> None:
    # The likelihood that the loss compares of y⁺: −2 ln 2 summed for DPO and IPO, −ln 2 a token for the others.
    sequences = pair([0.0, 0.0])
    anchored, plain = (loss(anchor=weight)(sequences).loss.item() for weight in (0.5, 0.0))
    own = 2 * LN2 if loss in (DPO, IPO) else LN2
    assert anchored - plain == pytest.approx(0.5 * own)


def test_a_content_hinge_is_no_reason_to_leave_out_the_target_of_slic_hf() -> None:
    content = SlicHF(margin=1)(pair())
    assert content.metrics["active"].item() == 0
    assert content.active is None, "the engine makes a backward pass"
    assert SlicHF(margin=1, weight=0)(pair()).active.item() == 0
