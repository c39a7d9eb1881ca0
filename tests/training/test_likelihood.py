"""Log-likelihoods against one unpadded sequence at a time through the model's own forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny import MODELS, V, letters, make, make_examples, one_at_a_time
from torch import Tensor, nn

from plad.models import Lora
from plad.records import PreferencePair
from plad.training import head, likelihood
from plad.training.examples import from_pairs
from plad.training.layout import DecoderLayout, EncoderDecoderLayout, Example
from plad.training.likelihood import base_model, choose_layout, sequences, within

SHARING = ["llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "gpt2"]
PLAIN = ["gpt-neo", "cohere", "bloom"]


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def weighted(per_response: Sequence[Tensor]) -> Tensor:
    """A scalar in which every response has a weight of its own, so that none can stand in for another."""
    return torch.stack([(k % 5 - 1.7) * logps.sum() for k, logps in enumerate(per_response)]).sum()


def check(model: Any, layout: Any, examples: list[Example]) -> None:
    """Values to 1e-5, gradients to 1e-4 of the largest, against the loop."""
    alone = [logps for example in examples for logps in one_at_a_time(model, example)]
    expected = gradients(model, weighted(alone))
    scored = sequences(model, layout(examples))
    B, R = scored.lengths_BR.shape
    together = [scored.token_logps_BRT[b, r] for b in range(B) for r in range(R) if scored.lengths_BR[b, r]]
    assert len(together) == len(alone)
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours[: len(theirs)], theirs, atol=1e-5, rtol=1e-5)
        assert not ours[len(theirs) :].any()
    found = gradients(model, weighted(together))
    assert found.keys() == expected.keys()
    assert max(grad.abs().max() for grad in expected.values()) > 0.1
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, atol=1e-4 * float(grad.abs().max()) + 1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("name", [*SHARING, *PLAIN, "t5"])
def test_equal_to_one_sequence_at_a_time(name: str) -> None:
    model = make(name)
    layout = choose_layout(model, pad_id=1)  # pad == eos
    assert isinstance(layout, EncoderDecoderLayout if name == "t5" else DecoderLayout)
    assert getattr(layout, "share_prefix", False) == (name in SHARING)
    examples = make_examples(6)
    if name in SHARING:
        batch = layout(examples)
        assert batch["input_ids"].shape[0] < len(examples), "several examples share a row"
        assert int(batch["position_ids"].max()) > 15, "sequences are longer than the window"
    check(model, layout, examples)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "t5"])
def test_equal_under_lora_with_three_responses(name: str) -> None:
    model = Lora(r=2, dropout=0.0).wrap(make(name), "nowhere").eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:  # zeros at first: the adapter would do nothing
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    layout = choose_layout(model, pad_id=0)
    assert getattr(layout, "share_prefix", True)
    check(model, layout, make_examples(4, responses=3))


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_eager_attention_gets_an_additive_mask(name: str) -> None:
    model = make(name)
    model.set_attn_implementation("eager")
    assert choose_layout(model, 0).share_prefix
    check(model, DecoderLayout(0), make_examples(4))


@pytest.mark.parametrize("name", ["llama", "qwen3", "mistral", "gemma3"])
def test_flex_attention_gets_a_block_mask(name: str) -> None:
    """Its values; on a CPU it has no backward pass."""
    model, examples = make(name), make_examples(6)
    # Uncompiled: transformers would compile it, which takes a C++ compiler and longer than the rest of the test.
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        expected = sequences(model, DecoderLayout(0)(examples)).token_logps_BRT
        model.set_attn_implementation("flex_attention")
        found = sequences(model, DecoderLayout(0)(examples)).token_logps_BRT
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_examples_with_fewer_responses_leave_their_slots_empty() -> None:
    model = make("llama")
    examples = [Example([3, 4], [[5, 1], [6, 1]]), Example([7], [[8, 9, 1]])]
    scored = sequences(model, DecoderLayout(0)(examples))
    assert scored.lengths_BR.tolist() == [[2, 2], [3, 0]]
    check(model, DecoderLayout(0), examples)


@pytest.mark.parametrize("name", ["llama", "gemma2"])  # gemma2 caps its logits
def test_chunks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, examples = make(name), make_examples(5)
    whole = sequences(model, DecoderLayout(0)(examples)).token_logps_BRT
    expected = gradients(model, weighted(list(whole.flatten(0, 1))))
    calls: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda _m, args, _o: calls.append(len(args[0])))
    monkeypatch.setattr(head, "LOGITS_AT_ONCE", 3 * V + 1)
    pieces = sequences(model, DecoderLayout(0)(examples)).token_logps_BRT
    assert len(calls) > 3
    assert max(calls) == 3, "three positions at a time"
    torch.testing.assert_close(pieces, whole)
    found = gradients(model, weighted(list(pieces.flatten(0, 1))))
    for parameter, grad in expected.items():
        torch.testing.assert_close(found[parameter], grad, atol=1e-5 * float(grad.abs().max()), rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt-neo", "t5"])
def test_order_and_company_change_nothing(name: str) -> None:
    model, examples = make(name), make_examples(6)
    layout = choose_layout(model, 0)
    with torch.no_grad():
        together = sequences(model, layout(examples)).logps("sum")
        backwards = sequences(model, layout(examples[::-1])).logps("sum")
        alone = torch.cat([sequences(model, layout([example])).logps("sum") for example in examples])
    torch.testing.assert_close(backwards.flip(0), together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_log_probabilities_are_fp32_in_a_bf16_model() -> None:
    model = make("llama").to(torch.bfloat16)
    layout = choose_layout(model, 0)
    scored = sequences(model, layout(make_examples(3)))
    assert layout.share_prefix
    assert scored.token_logps_BRT.dtype == torch.float32
    assert bool((scored.token_logps_BRT <= 0).all())


def test_the_end_counts_once_and_the_prompt_never() -> None:
    """From text to the sum: every response letter and one end token, each given its own probability."""
    tokenizer = letters(pad_token=".")  # pad == eos
    from plad.losses import RankingCalibration
    from plad.models import PromptFormat

    formatter = PromptFormat().bind(tokenizer)
    pairs = [PreferencePair("1", "abcd", chosen="xyz", rejected=""), PreferencePair("2", "a.", "b", "c" * 30)]
    examples = from_pairs(pairs, formatter, RankingCalibration())

    class Unigram(nn.Module):
        """Gives token k the log-probability −k·ln 2, whatever came before, as far as a shift of all may say."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            logits = -torch.arange(37.0) * torch.log(torch.tensor(2.0)) * self.scale
            return type("Output", (), {"logits": logits.expand(*input_ids.shape, 37)})

    batch = DecoderLayout(tokenizer.pad_token_id, share_prefix=False)([examples[0], examples[1]])
    scored = sequences(Unigram(), batch)
    # Σ 2^−k = 2 (less 2^−36): token k has −(k + 1) ln 2. `.` is 1, a is 3, b is 4, c is 5, x is 26, y 27, z 28.
    nats = torch.log(torch.tensor(2.0))
    expected = torch.tensor([[27 + 28 + 29 + 2, 2], [5 + 2, 30 * 6 + 2]]) * -nats
    torch.testing.assert_close(scored.logps("sum"), expected, atol=1e-4, rtol=1e-6)
    assert scored.lengths_BR.tolist() == [[4, 1], [2, 31]]


def test_scoring_leaves_the_training_mode_and_the_weights_alone() -> None:
    model = make("llama").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    choose_layout(model, 0)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_falling_back_is_said(caplog: pytest.LogCaptureFixture) -> None:
    choose_layout(make("cohere"), 0)
    assert "CohereForCausalLM" in caplog.text


def test_a_model_that_cannot_take_the_mask_falls_back() -> None:
    model = make("llama")
    inner = model.model.forward

    def flat_masks_only(*args: Any, attention_mask: Tensor, **kwargs: Any) -> Any:
        if attention_mask.dim() != 2:
            raise ValueError("attention_mask must be 2-dimensional")
        return inner(*args, attention_mask=attention_mask, **kwargs)

    model.model.forward = flat_masks_only
    assert not choose_layout(model, 0).share_prefix


@pytest.mark.parametrize(("name", "apart"), [("gpt-neo", True), ("bloom", True), ("cohere", False)])
def test_where_prompts_are_not_shared_the_head_still_sees_response_positions_alone(name: str, apart: bool) -> None:
    """Unless it is more than a matrix: cohere scales its logits."""
    model, examples = make(name), make_examples(5)
    layout = choose_layout(model, 0)
    assert layout == DecoderLayout(0, share_prefix=False, head_apart=apart)
    positions: list[int] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda _m, args, _o: positions.append(args[0].numel()))
    batch = layout(examples)
    sequences(model, batch)
    hook.remove()
    wanted = len(batch["target"]) if apart else batch["input_ids"].numel()
    assert positions == [wanted * 16], "states of 16 numbers"
    check(model, layout, examples)


def test_layers_that_count_along_the_row_fall_back_however_wide_their_window() -> None:
    """A window of 64 is wider than the check's examples, so that their numbers show nothing."""
    model = make("gpt-neo")
    for block in model.transformer.h:
        attention = block.attn.attention
        attention.bias.copy_(torch.tril(torch.ones_like(attention.bias)))
    assert likelihood._sharing_error(model, 0)[0] < 1e-4, "the check is blind here"
    assert not choose_layout(model, 0).share_prefix


def test_a_model_that_ignores_the_mask_falls_back() -> None:
    model = make("llama")
    inner = model.model.forward
    model.model.forward = lambda *args, attention_mask, **kwargs: inner(*args, **kwargs)
    assert not choose_layout(model, 0).share_prefix


def _rounding_by_shape(model: Any, size: float) -> None:
    """As of kernels that add in another order for another shape: states move by `size` of themselves, up or down."""

    def moved(_module: nn.Module, _inputs: Any, state_NLD: Tensor) -> Tensor:
        N, L, D = state_NLD.shape
        noise = torch.randn(N, L, D, generator=torch.Generator().manual_seed(100 * N + L))
        return state_NLD * (1 + size * noise)

    model.model.norm.register_forward_hook(moved)


def test_rounding_that_the_plain_layout_has_too_is_no_error_of_sharing() -> None:
    """Deep models in bf16: there a tenth of what a leaky mask does is less than the rounding."""
    model = make("llama")
    _, before = likelihood._sharing_error(model, 0)
    _rounding_by_shape(model, 0.3)
    error, allowed = likelihood._sharing_error(model, 0)
    assert before < error < allowed
    assert choose_layout(model, 0).share_prefix


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_that_are_ignored_are_an_error_of_sharing(dtype: torch.dtype) -> None:
    model = make("llama").to(dtype)
    inner = model.model.forward
    model.model.forward = lambda *args, position_ids=None, **kwargs: inner(*args, **kwargs)
    assert not choose_layout(model, 0).share_prefix


@pytest.mark.parametrize("name", sorted(MODELS))
def test_base_model_is_the_language_model_itself(name: str) -> None:
    model = make(name)
    assert base_model(model) is model


class Wrapper(nn.Module):
    """What DDP does, as far as `within` may tell: work before and after the forward of the module inside."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.passes: list[str] = []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.passes.append("before")
        output = self.module(*args, **kwargs)
        self.passes.append("after")
        return output


def test_within_runs_the_wrapper_and_the_hooks_around_the_function() -> None:
    inner = nn.Linear(2, 2)
    wrapper = Wrapper(inner)
    inner.register_forward_pre_hook(lambda *_: wrapper.passes.append("hook"))

    def function(module: nn.Module) -> str:
        assert module is inner
        wrapper.passes.append("function")
        assert module(torch.ones(1, 2)).shape == (1, 2), "the module's own forward is back inside the function"
        return "result"

    assert within(wrapper, inner, function) == "result"
    assert wrapper.passes == ["before", "hook", "function", "hook", "after"]
    assert "forward" not in inner.__dict__


@pytest.mark.parametrize("patched", [False, True])
def test_within_restores_forward_after_an_exception(patched: bool) -> None:
    inner = nn.Linear(2, 2)
    if patched:  # as accelerate does for autocast

        def own(x: Tensor) -> Tensor:
            return x + 1

        inner.forward = own  # type: ignore[method-assign]

    def broken(module: nn.Module) -> None:
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        within(Wrapper(inner), inner, broken)
    assert inner.__dict__.get("forward") is (own if patched else None)


def test_within_restores_forward_when_the_wrapper_fails_before_it() -> None:
    inner = nn.Linear(2, 2)
    wrapper = Wrapper(inner)
    wrapper.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        within(wrapper, inner, lambda module: None)
    assert "forward" not in inner.__dict__
