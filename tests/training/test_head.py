"""The output head: values and gradients against float64, whether it learns or not, in one chunk or in many."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from plad.training import head as heads
from plad.training.head import Predictions

S, D, V = 11, 6, 29


def make_head(bias: bool, frozen: bool) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(D, V, bias=bias).requires_grad_(not frozen)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, targets, and what each log-probability weighs in the loss."""
    draw = torch.Generator().manual_seed(1)
    hidden = 3 * torch.randn(S, D, generator=draw)
    return hidden, torch.randint(V, (S,), generator=draw), torch.randn(S, generator=draw)


def by_definition(head: nn.Linear, cap: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """log softmax at each target, its gradient for the hidden states and for the matrix, in float64."""
    hidden, target, weight = inputs()
    hidden = hidden.double().requires_grad_()
    matrix = head.weight.detach().double().requires_grad_()
    logits = hidden @ matrix.T + (0 if head.bias is None else head.bias.detach().double())
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    logps = torch.stack([logits[s, target[s]] - logits[s].exp().sum().log() for s in range(S)])
    (logps * weight).sum().backward()
    assert hidden.grad is not None
    assert matrix.grad is not None
    return logps.detach(), hidden.grad, matrix.grad


@pytest.mark.parametrize("at_once", [2**25, 3 * V + 1, 1])
@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_values_and_gradients_are_those_of_the_definition(
    frozen: bool, bias: bool, cap: float | None, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "LOGITS_AT_ONCE", at_once)
    head, (hidden, target, weight) = make_head(bias, frozen), inputs()
    expected, slope, matrix_slope = by_definition(head, cap)
    hidden.requires_grad_()
    found = Predictions(hidden, V, head, cap).token_logps(target)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)
    (found * weight).sum().backward()
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad.double(), slope, atol=1e-5, rtol=1e-4)
    if frozen:
        assert head.weight.grad is None
    else:
        assert head.weight.grad is not None
        torch.testing.assert_close(head.weight.grad.double(), matrix_slope, atol=1e-5, rtol=1e-4)


def test_a_frozen_head_keeps_no_logits_for_the_backward_pass() -> None:
    hidden, target, _ = inputs()
    kept: list[tuple[int, ...]] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        Predictions(hidden.requires_grad_(), V, make_head(False, frozen=True)).token_logps(target)
    assert kept == [(S, D)]


@pytest.mark.parametrize("frozen", [False, True])
def test_under_autocast_the_matrix_products_are_bf16_and_the_log_probabilities_fp32(frozen: bool) -> None:
    head, (hidden, target, weight) = make_head(True, frozen), inputs()
    expected, slope, _ = by_definition(head, None)
    hidden.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = Predictions(hidden, V, head).token_logps(target)
    (found * weight).sum().backward()
    assert found.dtype == torch.float32
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.float32
    assert 0 < (found.double() - expected).abs().max() < 0.1
    torch.testing.assert_close(hidden.grad.double(), slope, atol=0.05, rtol=0.05)


def test_without_a_gradient_none_is_prepared() -> None:
    hidden, target, _ = inputs()
    found = Predictions(hidden, V, make_head(False, frozen=True)).token_logps(target)
    assert not found.requires_grad
    torch.testing.assert_close(found.double(), by_definition(make_head(False, True), None)[0], atol=1e-5, rtol=1e-5)
