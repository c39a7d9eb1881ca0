"""Weights in 4 and 8 bit against the arithmetic of their papers, spelled out; what learns, and what does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from plad.errors import PladError
from plad.models import Lora, PretrainedModel
from plad.models.quantise import BYTES, count, quantised

pytest.importorskip("bitsandbytes")

NF4 = [
    -1,
    -0.6962,
    -0.5251,
    -0.3949,
    -0.2844,
    -0.1848,
    -0.0911,
    0,
    0.0796,
    0.1609,
    0.2461,
    0.3379,
    0.4407,
    0.5626,
    0.7230,
    1,
]
"""arXiv 2305.14314, appendix E, to four digits."""


def llama(dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=97, **shape)).to(dtype)


def four_bit(weight: Tensor) -> Tensor:
    """The nearest of 16 values in each block of 64, times the block's largest."""
    blocks = weight.reshape(-1, 64)
    largest = blocks.abs().amax(1, keepdim=True)
    codes = torch.tensor(NF4, dtype=weight.dtype)
    nearest = ((blocks / largest)[..., None] - codes).abs().argmin(-1)
    return (codes[nearest] * largest).reshape(weight.shape)


def eight_bit(weight: Tensor) -> Tensor:
    """The nearest of 255 values in each row."""
    largest = weight.abs().amax(1, keepdim=True)
    return (weight / largest * 127).round() / 127 * largest


@pytest.mark.parametrize(("bits", "rounded"), [("4bit", four_bit), ("8bit", eight_bit)])
def test_a_layer_multiplies_by_its_rounded_weights(bits: Any, rounded: Any) -> None:
    model = llama()
    original = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    layer = quantised(model, bits, "cpu").model.layers[0].mlp.up_proj
    x = torch.eye(64)
    found, expected = layer(x).T.float(), rounded(original)
    assert float((expected - original).abs().max()) > 0, "it is rounded at all"
    # The scales of 4 bit are themselves in 8, and between two values a fifth digit may decide.
    far = (found - expected).abs() > 0.02 * float(original.abs().max())
    assert float(far.float().mean()) < 0.002
    assert float((found - original).norm() / original.norm()) < {"4bit": 0.12, "8bit": 0.02}[bits]


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_looking_without_gradients_changes_no_weight(bits: Any) -> None:
    model, ids = quantised(llama(), bits, "cpu"), torch.arange(1, 9)[None]
    training = model.train()(input_ids=ids).logits
    with torch.no_grad():
        looked = model.eval()(input_ids=ids).logits
    # In 8 bit the two passes have products of their own.
    torch.testing.assert_close(looked, training, rtol=0, atol=0 if bits == "4bit" else 0.02)
    assert torch.equal(model.train()(input_ids=ids).logits, training)


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_only_the_layers_matrices_are_held_in_fewer_bits(bits: Any) -> None:
    model = llama()
    weights, head, words = count(model), model.lm_head.weight, model.model.embed_tokens.weight
    inside = sum(part.weight.numel() for part in model.model.layers.modules() if isinstance(part, torch.nn.Linear))
    found = quantised(model, bits, "cpu")
    assert count(found) == weights
    assert found.lm_head.weight is head
    assert found.model.embed_tokens.weight is words
    assert not any(parameter.requires_grad for parameter in found.parameters())
    size = sum(p.numel() * p.element_size() for p in found.model.layers.parameters() if p.element_size() == 1)
    assert size / inside == {"4bit": 0.5, "8bit": 1.0}[bits] == pytest.approx(BYTES[bits], abs=0.06)


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_an_encoder_decoder_answers_nearly_as_before(bits: Any) -> None:
    torch.manual_seed(0)
    shape = {"d_model": 64, "d_kv": 32, "d_ff": 128, "num_layers": 1, "num_heads": 2}
    model = T5ForConditionalGeneration(
        T5Config(vocab_size=97, decoder_start_token_id=0, dropout_rate=0.0, **shape)
    ).eval()
    inputs = {"input_ids": torch.arange(2, 12)[None], "decoder_input_ids": torch.arange(5)[None]}
    with torch.no_grad():
        before = model(**inputs).logits.log_softmax(-1)
        after = quantised(copy.deepcopy(model), bits, "cpu")(**inputs).logits.float().log_softmax(-1)
    assert 0 < float((after - before).abs().mean()) < 0.3


def test_an_adapter_learns_as_over_the_rounded_weights() -> None:
    """QLoRA's gradient is LoRA's over a model whose matrices were rounded beforehand."""
    small, rounded = quantised(llama(), "4bit", "cpu"), llama()
    for name, part in list(rounded.model.layers.named_modules()):
        if isinstance(part, torch.nn.Linear):
            with torch.no_grad():
                part.weight.copy_(small.model.layers.get_submodule(name)(torch.eye(part.in_features)).T)
    gradients = []
    for model in (small, rounded):
        torch.manual_seed(1)
        wrapped = Lora(r=2, dropout=0.0).wrap(model, "nowhere")
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        ids = torch.arange(1, 9)[None]
        wrapped(input_ids=ids, labels=ids).loss.backward()
        gradients.append({name: p.grad for name, p in wrapped.named_parameters() if p.requires_grad})
    assert gradients[0].keys() == gradients[1].keys()
    assert len(gradients[0]) == 2 * 2 * 7
    for name, grad in gradients[0].items():
        torch.testing.assert_close(grad, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_without_bitsandbytes_it_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PladError, match=r"in 4 or 8 bit need bitsandbytes\. Run: pip install 'plad\[qlora\]'"):
        PretrainedModel(path="owner/model", quantise="4bit").check()
