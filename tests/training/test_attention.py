"""Attention in short rows: the same numbers as SDPA's, and the model is given back as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_lora import adapted, outcome
from tiny import make, make_examples
from torch import Tensor

from plad.training import attention
from plad.training.attention import quick_attention
from plad.training.layout import DecoderLayout
from plad.training.likelihood import sequences

NAMES = ["llama", "qwen3", "mistral", "gemma3"]  # keys shared by heads, and windows by layer


@torch.no_grad()
def scores(model: Any, share_prefix: bool = True) -> Tensor:
    return sequences(model, DecoderLayout(0, share_prefix)(make_examples(6))).token_logps_BRT


@pytest.mark.parametrize("share_prefix", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_sdpa(name: str, share_prefix: bool) -> None:
    model = make(name)
    expected = scores(model, share_prefix)
    with quick_attention(model):
        assert model.config._attn_implementation == attention.QUICK
        found = scores(model, share_prefix)
    assert model.config._attn_implementation == "sdpa"
    assert not torch.equal(found, expected), "it was another kernel"
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_sdpa(name: str) -> None:
    model = adapted(name)
    _, expected = outcome(model)
    with quick_attention(model):
        _, found = outcome(model)
    assert found.keys() == expected.keys()
    for parameter, grad in expected.items():
        torch.testing.assert_close(found[parameter], grad, atol=1e-5 * float(grad.abs().max()), rtol=1e-4)


def test_long_rows_are_left_to_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("llama")
    expected = scores(model)
    # The trial's rows are at most a few dozen tokens wide: of the weights of one more than this, none may be held.
    monkeypatch.setattr(attention, "AT_ONCE", 10)
    with quick_attention(model):
        torch.testing.assert_close(scores(model), expected, atol=0, rtol=1e-6)


def test_in_half_precision_it_is_as_near_to_the_truth_as_sdpa() -> None:
    model = make("llama")
    truth = scores(model)
    with torch.autocast("cpu", torch.bfloat16):
        sdpa = scores(model)
        with quick_attention(model):
            ours = scores(model)
    assert ours.dtype == torch.float32
    assert 0 < float((ours - truth).abs().mean()) < 1.5 * float((sdpa - truth).abs().mean())


@pytest.mark.parametrize("name", ["gemma2", "t5"])  # eager, for it caps its scores; and of two parts
def test_other_models_keep_theirs(name: str) -> None:
    model = make(name)
    before = model.config._attn_implementation
    with quick_attention(model):
        assert model.config._attn_implementation == before


def test_a_model_is_as_it_was_afterwards_whatever_happened() -> None:
    model = make("llama")
    with pytest.raises(KeyError), quick_attention(model):
        raise KeyError
    assert model.config._attn_implementation == "sdpa"
