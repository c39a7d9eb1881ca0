"""Divergences on three tokens by hand, and by brute force over the vocabulary in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from plad.losses import GKD, KD, DistiLLM2, ForwardKL, JensenShannon, Loss, ReverseKL, Sequences, TotalVariation
from plad.losses.divergence import kl, mixture

LN2, LN3 = math.log(2), math.log(3)
# p = (½, ¼, ¼) and q = (¼, ½, ¼), as logits with an arbitrary shift.
P = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log() + 3
Q = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64).log() - 1
KL = LN2 / 4  # ½·ln 2 − ¼·ln 2, both ways
# m = (⅜, ⅜, ¼): KL(p‖m) = ½·ln 4/3 + ¼·ln 2/3, the same for q
JS = math.log(4 / 3) / 2 + math.log(2 / 3) / 4


def at(loss: Loss, student: Tensor = Q, teacher: Tensor = P, response: int = 0) -> float:
    return loss.divergence(student, teacher, torch.full((len(student),), response)).item()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(KD(), KL), (ForwardKL(), KL), (ReverseKL(), KL), (JensenShannon(), JS), (TotalVariation(), 0.25), (GKD(), JS)],
    ids=lambda each: getattr(each, "type", ""),
)
def test_three_tokens_by_hand(loss: Loss, expected: float) -> None:
    assert at(loss) == pytest.approx(expected)
    assert at(loss, response=1) == pytest.approx(expected)
    assert at(loss, teacher=Q - 2) == pytest.approx(0, abs=1e-12)


def test_the_directions_of_kl_differ_where_they_should() -> None:
    sharp = torch.tensor([[0.5, 0.375, 0.125]], dtype=torch.float64).log()
    forward = 0.25 * LN2 + 0.25 * math.log(2 / 3)  # Σ p ln p/q, p as above: 0 + ¼·ln(¼/⅜) + ¼·ln(¼/⅛)
    backward = 0.375 * math.log(1.5) - 0.125 * LN2
    assert at(ForwardKL(), student=sharp) == pytest.approx(forward)
    assert at(ReverseKL(), student=sharp) == pytest.approx(backward)


def test_kd_at_a_temperature_is_of_the_softened_distributions() -> None:
    # √(½) : ½ : ½ and ½ : √(½) : ½, that is p_τ = (√2, 1, 1)/(2 + √2) at τ = 2.
    root = math.sqrt(2)
    assert at(KD(temperature=2)) == pytest.approx((root - 1) / (2 + root) * LN2 / 2)


@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        (ForwardKL(), [-0.25, 0.25, 0.0]),  # q − p
        (KD(), [-0.25, 0.25, 0.0]),
        # q·(ln q/p − KL): ¼·(−ln 2 − ¼ ln 2), ½·(ln 2 − ¼ ln 2), ¼·(0 − ¼ ln 2)
        (ReverseKL(), [-5 / 16 * LN2, 6 / 16 * LN2, -1 / 16 * LN2]),
        # −½·q·(p/m − Σ q·p/m), p/m = (4/3, 2/3, 1), Σ = 11/12
        (JensenShannon(), [-0.125 * 5 / 12, 0.25 * 3 / 12, -0.125 * 1 / 12]),
    ],
    ids=lambda each: getattr(each, "type", ""),
)
def test_gradients_by_the_students_logits(loss: Loss, gradient: list[float]) -> None:
    student, teacher = Q.clone().requires_grad_(), P.clone()
    loss.divergence(student, teacher, torch.zeros(1, dtype=torch.long)).sum().backward()
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx(gradient)


def test_the_gradient_of_total_variation() -> None:
    # q = (¼, ⅝, ⅛) lies below, above and below p: s = (−, +, −), Σ q·s = ¼, and the gradient is ½·q·(s − ¼).
    student = torch.tensor([[0.25, 0.625, 0.125]], dtype=torch.float64).log().requires_grad_()
    TotalVariation().divergence(student, P, torch.zeros(1)).sum().backward()
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([-0.15625, 0.234375, -0.078125])


def test_distillm2_by_hand() -> None:
    # α = ½: both mixtures are m = (⅜, ⅜, ¼), so that both halves are KL(p‖m) = KL(q‖m), which is JS here.
    assert at(DistiLLM2(alpha=0.5)) == pytest.approx(JS)
    assert at(DistiLLM2(alpha=0.5), response=1) == pytest.approx(JS)
    # α = ¼ on the teacher's text: ¼p + ¾q = (5/16, 7/16, ¼). On the student's ¾p + ¼q = (7/16, 5/16, ¼), which is the
    # same with two tokens swapped, as q is p.
    expected = math.log(8 / 5) / 2 + math.log(4 / 7) / 4
    assert at(DistiLLM2(alpha=0.25)) == pytest.approx(expected)
    assert at(DistiLLM2(alpha=0.25), response=1) == pytest.approx(expected)


def test_the_gradient_of_distillm2_by_the_students_logits() -> None:
    # The teacher's text at α = ½: −½·q·(p/m − Σ q·p/m), p/m = (4/3, 2/3, 1), Σ = 11/12.
    student = Q.clone().requires_grad_()
    DistiLLM2(alpha=0.5).divergence(student, P, torch.zeros(1)).sum().backward()
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([-0.125 * 5 / 12, 0.25 * 3 / 12, -0.125 * 1 / 12])
    # The student's: q·(g − Σ q·g) with g = ln q/m − ½·q/m, of which a constant has no say.
    other = Q.clone().requires_grad_()
    DistiLLM2(alpha=0.5).divergence(other, P, torch.ones(1)).sum().backward()
    q, m = [0.25, 0.5, 0.25], [0.375, 0.375, 0.25]
    g = [math.log(a / b) - a / b / 2 for a, b in zip(q, m, strict=True)]
    mean = sum(a * b for a, b in zip(q, g, strict=True))
    assert other.grad is not None
    assert other.grad[0].tolist() == pytest.approx([a * (b - mean) for a, b in zip(q, g, strict=True)])


Term = Callable[[float, float, int], float]
"""What one token of the vocabulary adds, by p(v), q(v) and the number of the response."""


def brute(term: Term, student: Tensor, teacher: Tensor, response: int) -> float:
    ps, qs = ([math.exp(x) for x in row.tolist()] for row in (teacher, student))
    return sum(term(p / sum(ps), q / sum(qs), response) for p, q in zip(ps, qs, strict=True))


def js(p: float, q: float, response: int) -> float:
    own = q if response else p
    return own * math.log(2 * own / (p + q))


def tenth(p: float, q: float, response: int) -> float:
    m = 0.1 * p + 0.9 * q
    return 0.1 * p * math.log(p / m) + 0.9 * q * math.log(q / m)


def skewed(p: float, q: float, response: int) -> float:
    if response:
        return q * math.log(q / (0.9 * p + 0.1 * q))
    return p * math.log(p / (0.1 * p + 0.9 * q))


BRUTE: dict[Loss, Term] = {
    ForwardKL(): lambda p, q, _: p * math.log(p / q),
    ReverseKL(): lambda p, q, _: q * math.log(q / p),
    JensenShannon(): js,
    TotalVariation(): lambda p, q, _: abs(p - q) / 2,
    GKD(beta=0.1): tenth,
    DistiLLM2(): skewed,
}
# KL(p‖αp + …) ≤ log 1/α.
BOUNDS = {
    "distillm2": math.log(10),
    "f_js": math.log(2),
    "f_tvd": 1.0,
    "gkd": 0.1 * math.log(10) + 0.9 * math.log(1 / 0.9),
}


@pytest.mark.parametrize("loss", BRUTE, ids=lambda loss: loss.type)
@pytest.mark.parametrize("scale", [0.1, 1.0, 12.0])
def test_brute_force_over_the_vocabulary_and_the_bounds(loss: Loss, scale: float) -> None:
    torch.manual_seed(int(scale))
    student, teacher = (scale * torch.randn(20, 11, dtype=torch.float64) for _ in range(2))
    response = torch.arange(20) % 2
    found = loss.divergence(student, teacher, response)
    for s in range(20):
        assert found[s].item() == pytest.approx(brute(BRUTE[loss], student[s], teacher[s], s % 2), rel=1e-9, abs=1e-12)
    assert bool((found >= -1e-12).all())
    assert bool((found <= BOUNDS.get(loss.type, math.inf) + 1e-12).all())


def test_js_keeps_within_log_two_for_disjoint_distributions() -> None:
    left, right = torch.tensor([[40.0, 0.0]]), torch.tensor([[0.0, 40.0]])
    assert at(JensenShannon(), left, right) == pytest.approx(LN2)
    assert at(TotalVariation(), left, right) == pytest.approx(1)


def test_gkd_goes_from_forward_to_reverse_kl() -> None:
    """D(β)/β tends to KL(p‖q) for β → 0, and D(β)/(1 − β) to KL(q‖p) for β → 1."""
    sharp = torch.tensor([[0.5, 0.375, 0.125]], dtype=torch.float64).log()
    for near, share, limit in ((1e-6, 1e-6, ForwardKL()), (1 - 1e-6, 1e-6, ReverseKL())):
        assert at(GKD(beta=near), sharp) / share == pytest.approx(at(limit, sharp), rel=1e-4)


def test_a_token_that_is_ruled_out_adds_nothing_and_breaks_no_gradient() -> None:
    a = torch.tensor([[0.0, -math.inf]], requires_grad=True)
    b = torch.tensor([[-LN2, -LN2]], requires_grad=True)
    value = kl(a, b)
    value.sum().backward()
    assert value.item() == pytest.approx(LN2)
    assert b.grad is not None
    assert b.grad.tolist() == [[-1.0, 0.0]]
    assert mixture(a.detach(), b.detach(), 0.25).exp().tolist() == [pytest.approx([0.25 + 0.375, 0.375])]


def sequences() -> Sequences:
    """Two examples of 2 and 1 tokens; the padding holds zeros, as the engine leaves it."""
    return Sequences(
        token_logps_BRT=torch.tensor([[[-1.0, -2.0]], [[-4.0, 0.0]]], requires_grad=True),
        lengths_BR=torch.tensor([[2], [1]]),
        divergence_BRT=torch.tensor([[[0.5, 0.25]], [[1.0, 0.0]]], requires_grad=True),
    )


@pytest.mark.parametrize("loss", [ForwardKL(), TotalVariation(), GKD()], ids=lambda loss: loss.type)
def test_a_divergence_is_summed_over_the_tokens_and_they_are_counted(loss: Loss) -> None:
    output = loss(sequences())
    assert output.loss.item() == pytest.approx(1.75)
    assert output.units.item() == 3


def test_kd_mixes_in_the_likelihood_and_scales_by_the_squared_temperature() -> None:
    output = KD(temperature=3, nll=0.25)(sequences())
    assert output.loss.item() == pytest.approx(0.75 * 9 * 1.75 + 0.25 * 7)
    assert {name: value.item() for name, value in output.metrics.items()} == {"kl": 1.75, "nll": 7.0}
    assert KD()(sequences()).loss.item() == pytest.approx(1.75)


def test_without_a_teacher_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="divergences"):
        ForwardKL()(Sequences(torch.zeros(1, 1, 1), torch.ones(1, 1)))
