"""The student beside its teacher: values and gradients against one unpadded sequence at a time in plain loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import V, logits_alone, make, make_examples
from torch import Tensor

from plad.errors import PladError
from plad.losses import JensenShannon
from plad.models import Lora
from plad.training import head
from plad.training.layout import DecoderLayout, EncoderDecoderLayout, Example
from plad.training.likelihood import Teacher, choose_layout, sequences

JS = JensenShannon()


def logps_alone(model: Any, example: Example, response: list[int]) -> Tensor:
    """Log-probabilities of all tokens at the positions of one response, (T, V)."""
    return logits_alone(model, example, response)[:, :V].double().log_softmax(-1)


def expected(student: Any, teacher: Any, examples: list[Example]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(log q(y_t), log p(y_t), the Jensen-Shannon term) of each response."""
    found = []
    for example in examples:
        for r, response in enumerate(example.responses):
            q, p = (logps_alone(model, example, list(response)) for model in (student, teacher))
            own, m = (q if r else p), ((q.exp() + p.exp()) / 2).log()
            at = (range(len(response)), list(response))
            found.append((q[at], p[at], (own.exp() * (own - m)).sum(-1)))
    return found


def total(parts: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """A number in which every response's likelihood and divergence have weights of their own."""
    return sum(
        ((k % 3 - 0.7) * q.sum() + (k % 4 + 0.3) * d.sum() for k, (q, _, d) in enumerate(parts)), torch.zeros(())
    )


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def check(student: Any, teacher: Any, examples: list[Example]) -> None:
    layout = choose_layout(student, 0, teacher)
    alone = expected(student, teacher, examples)
    scored = sequences(student, layout(examples), Teacher(teacher, JS.divergence))
    B, R = scored.lengths_BR.shape
    ours = []
    for b in range(B):
        for r in range(R):
            length = int(scored.lengths_BR[b, r])
            tensors = (scored.token_logps_BRT, scored.teacher_logps_BRT, scored.divergence_BRT)
            ours.append(tuple(each[b, r, :length] for each in tensors))
            assert not any(each[b, r, length:].any() for each in tensors), "nothing in the padding"
    for found, truth in zip(ours, alone, strict=True):
        for one, other in zip(found, truth, strict=True):
            torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-4)
    assert not scored.teacher_logps_BRT.requires_grad
    truth, found = gradients(student, total(alone)), gradients(student, total(ours))
    assert found.keys() == truth.keys()
    for name, grad in truth.items():
        torch.testing.assert_close(found[name], grad, atol=1e-4 * float(grad.abs().max()) + 1e-6, rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("student", "teacher", "shared"),
    [("llama", "qwen2", True), ("gemma2", "llama", True), ("llama", "gpt-neo", False), ("t5", "t5", None)],
)
def test_equal_to_one_sequence_at_a_time(student: str, teacher: str, shared: bool | None) -> None:
    ours, theirs = make(student), make(teacher, seed=5).requires_grad_(False)
    layout = choose_layout(ours, 0, theirs)
    assert getattr(layout, "share_prefix", None) == shared, "a layout that is exact for both"
    check(ours, theirs, make_examples(5))


@pytest.mark.parametrize("longer", ["teacher", "student"])
def test_a_padded_vocabulary_is_cut_to_what_both_have(longer: str) -> None:
    models = {"student": make("llama"), "teacher": make("qwen2", seed=5).requires_grad_(False)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        models[longer].resize_token_embeddings(V + 4, mean_resizing=False)
    check(models["student"], models["teacher"].requires_grad_(False), make_examples(4))


def test_equal_under_lora() -> None:
    model = Lora(r=2, dropout=0.0).wrap(make("llama"), "nowhere").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    check(model, make("qwen2", seed=5).requires_grad_(False), make_examples(4))


def test_chunks_hold_few_logits_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = make("llama"), make("qwen2", seed=5).requires_grad_(False)
    batch, beside = DecoderLayout(0)(make_examples(5)), Teacher(teacher, JS.divergence)

    def value() -> Tensor:
        scored = sequences(student, batch, beside)
        return (
            scored.divergence_BRT * torch.arange(scored.divergence_BRT.numel()).view_as(scored.divergence_BRT)
        ).sum()

    truth = gradients(student, value())
    held: dict[str, list[int]] = {"student": [], "teacher": []}
    for name, model in (("student", student), ("teacher", teacher)):
        hook = lambda _m, args, _o, name=name: held[name].append(len(args[0]))  # noqa: E731
        model.get_output_embeddings().register_forward_hook(hook)
    monkeypatch.setattr(head, "LOGITS_AT_ONCE", 3 * 2 * V + 1)
    found = gradients(student, value())
    S = len(batch["target"])
    for name, sizes in held.items():
        assert max(sizes) == 3, "three positions of both at a time"
        assert sum(sizes) == 2 * S, f"{name}: forward, and once more in the backward pass"
    for name, grad in truth.items():
        torch.testing.assert_close(found[name], grad, atol=1e-5 * float(grad.abs().max()), rtol=1e-4)


def test_the_teacher_may_be_in_bf16_and_the_divergence_is_in_fp32() -> None:
    student, teacher = make("llama"), make("qwen2", seed=5).requires_grad_(False)
    batch = DecoderLayout(0)(make_examples(4))
    seen: list[torch.dtype] = []

    def divergence(q: Tensor, p: Tensor, response: Tensor) -> Tensor:
        seen.extend((q.dtype, p.dtype))
        return JS.divergence(q, p, response)

    exact = sequences(student, batch, Teacher(teacher, JS.divergence)).divergence_BRT.sum()
    rough = sequences(student, batch, Teacher(teacher.to(torch.bfloat16), divergence)).divergence_BRT.sum()
    assert set(seen) == {torch.float32}
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)


def test_models_of_two_kinds_are_refused() -> None:
    with pytest.raises(PladError, match=r"the student is a llama and the teacher a t5\. Use a method that learns from"):
        choose_layout(make("llama"), 0, make("t5"))


@pytest.mark.parametrize("layout", [DecoderLayout(0), DecoderLayout(0, share_prefix=False), EncoderDecoderLayout(0, 0)])
def test_an_empty_response_takes_no_room(layout: Any) -> None:
    model = make("t5" if isinstance(layout, EncoderDecoderLayout) else "llama")
    sample, text = Example([3, 4], [[5, 1]], sampling_logps=[[-0.5, -0.25]]), Example([7], [[], [8, 9, 1]])
    scored = sequences(model, layout([sample, text]))
    assert scored.lengths_BR.tolist() == [[2, 0], [0, 3]]
    alone = sequences(model, layout([Example([7], [[8, 9, 1]])]))
    torch.testing.assert_close(scored.token_logps_BRT[1, 1], alone.token_logps_BRT[0, 0], atol=1e-5, rtol=1e-5)
    assert not scored.token_logps_BRT[1, 0].any()
    assert scored.sampling_logps_BRT.tolist() == [[[-0.5, -0.25, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
