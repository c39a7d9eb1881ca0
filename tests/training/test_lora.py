"""LoRA computed our way: peft's numbers where peft is the independent implementation, and dropout by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from tiny import make, make_examples
from torch import Tensor, nn

from plad.training.layout import DecoderLayout, EncoderDecoderLayout
from plad.training.likelihood import sequences
from plad.training.lora import quick_adapters


def adapted(name: str, **settings: Any) -> Any:
    """A tiny model with an adapter that changes it (one begins at zero)."""
    config = {"r": 3, "lora_alpha": 6, "target_modules": "all-linear", "init_lora_weights": False} | settings
    return get_peft_model(make(name), LoraConfig(**config))


def layer(**settings: Any) -> Linear:
    """x → x + 2 · drop(x) I I, so that the output shows what was dropped."""
    model = get_peft_model(nn.Sequential(nn.Linear(64, 64)), LoraConfig(target_modules=["0"], **settings))
    found = model.base_model.model[0]
    with torch.no_grad():
        found.base_layer.weight.copy_(torch.eye(64))
        found.base_layer.bias.zero_()
        for part in (found.lora_A, found.lora_B):
            part["default"].weight.copy_(torch.eye(64))
    return found


def outcome(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities of some responses, and the gradient of a weighted sum of them."""
    layout = EncoderDecoderLayout(0, 0) if model.config.is_encoder_decoder else DecoderLayout(0)
    logps = sequences(model, layout(make_examples(6))).token_logps_BRT
    model.zero_grad()
    (logps * torch.linspace(-1, 1, logps.numel()).view_as(logps)).sum().backward()
    return logps.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3", "t5"])  # qwen2 has biases
def test_values_and_gradients_are_those_of_peft(name: str) -> None:
    model = adapted(name)
    expected, gradients = outcome(model)
    with quick_adapters(model):
        assert any("forward" in module.__dict__ for module in model.modules())
        found, ours = outcome(model)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert ours.keys() == gradients.keys()
    assert len(ours) == sum(p.requires_grad for p in model.parameters()) > 10
    for parameter, grad in gradients.items():
        torch.testing.assert_close(ours[parameter], grad, atol=1e-5 * float(grad.abs().max()), rtol=1e-4)


def test_dropout_drops_its_share_and_scales_the_rest() -> None:
    """y − x is 2 x / (1 − p) where x is kept and 0 where it is dropped, and so is the gradient."""
    torch.manual_seed(0)
    one, x = layer(r=64, lora_alpha=128, lora_dropout=0.25).train(), torch.rand(500, 64) + 1
    x.requires_grad_()
    with quick_adapters(one):
        y = one(x)
        y.sum().backward()
    added = ((y - x) / x).detach()
    kept = added > 1
    torch.testing.assert_close(added, 2 / 0.75 * kept, atol=1e-5, rtol=0)
    torch.testing.assert_close(x.grad, 1 + 2 / 0.75 * kept, atol=1e-5, rtol=0)
    deviation = (0.25 * 0.75 / kept.numel()) ** 0.5
    assert abs(float((~kept).float().mean()) - 0.25) < 4 * deviation
    # No element's fate hangs on its place or its neighbours', which share a random number.
    assert float((kept.float().mean(0) - 0.75).abs().max()) < 5 * (0.25 * 0.75 / 500) ** 0.5
    together = (kept[:, 1:] == kept[:, :-1]).float().mean()
    assert abs(float(together) - (0.75**2 + 0.25**2)) < 0.02


def test_masks_follow_the_seed_and_differ_between_calls() -> None:
    one, x = layer(r=64, lora_dropout=0.5).train(), torch.ones(3, 7, 64)
    drawn = []
    with quick_adapters(one):
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            drawn.append((one(x), one(x)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])


def test_nothing_is_dropped_in_evaluation() -> None:
    one, x = layer(r=64, lora_alpha=64, lora_dropout=0.5).eval(), torch.ones(3, 64)
    with quick_adapters(one):
        torch.testing.assert_close(one(x), 2 * x)


def test_half_precision_computes_in_it_and_keeps_gradients_in_fp32() -> None:
    model = adapted("llama")
    expected, gradients = outcome(model)
    with quick_adapters(model), torch.autocast("cpu", torch.bfloat16):
        found, ours = outcome(model)
    with torch.autocast("cpu", torch.bfloat16):
        pefts, theirs = outcome(model)
    assert {grad.dtype for grad in ours.values()} == {torch.float32}
    assert 0 < float((found - expected).abs().mean()) < 2 * float((pefts - expected).abs().mean())

    def error(some: dict[str, Tensor]) -> float:
        return sum(float((some[name] - grad).norm() ** 2) for name, grad in gradients.items()) ** 0.5

    assert error(ours) < 2 * error(theirs)


def test_gradient_checkpointing_draws_the_same_mask_again() -> None:
    model = adapted("llama", lora_dropout=0.5).train()
    with quick_adapters(model):
        torch.manual_seed(3)
        plain = outcome(model)
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
        torch.manual_seed(3)
        again = outcome(model)
    torch.testing.assert_close(again[0], plain[0])
    for parameter, grad in plain[1].items():
        torch.testing.assert_close(again[1][parameter], grad)


def merged(model: Any) -> Any:
    model.merge_adapter()
    return model


def switched_off(model: Any) -> Any:
    model.base_model.disable_adapter_layers()
    return model


def two(model: Any) -> Any:
    model.add_adapter("second", LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    model.base_model.set_adapter(["default", "second"])
    return model


def learning(model: Any) -> Any:
    return model.requires_grad_()


@pytest.mark.parametrize("changed", [merged, switched_off, two, learning])
def test_a_layer_that_is_more_or_less_than_lora_is_left_to_peft(changed: Any) -> None:
    model = changed(adapted("llama"))
    expected, gradients = plain = outcome(model) if changed is learning else (scores(model), {})
    with quick_adapters(model):
        found, ours = outcome(model) if changed is learning else (scores(model), {})
    assert torch.equal(found, expected)
    assert ours.keys() == plain[1].keys()
    assert all(torch.equal(ours[name], grad) for name, grad in gradients.items())


@torch.no_grad()
def scores(model: Any) -> Tensor:
    return sequences(model, DecoderLayout(0)(make_examples(4))).token_logps_BRT


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"lora_bias": True}])
def test_variants_of_lora_are_left_to_peft(settings: dict[str, Any]) -> None:
    model = adapted("llama", **settings)
    expected = scores(model)
    with quick_adapters(model):
        assert torch.equal(scores(model), expected)


def test_a_model_is_as_it_was_afterwards_whatever_happened() -> None:
    model = adapted("llama")
    with pytest.raises(KeyError), quick_adapters(model):
        raise KeyError
    assert not any("forward" in module.__dict__ for module in model.modules())
