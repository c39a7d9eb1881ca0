"""Samples drawn in training: their log-probabilities against a model read from the start, and their frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny import make
from torch import Tensor

from plad.losses import Rollout
from plad.training.examples import Examples
from plad.training.layout import DecoderLayout, Example
from plad.training.rollout import OnPolicy, Sampler, _pick

PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15]]
END = 1


def sampler(student: Any, teacher: Any = None, most: int = 8, **settings: Any) -> Sampler:
    return Sampler(student, teacher, END, 0, most, Rollout(**settings))


def shares(model: Any, prompt: list[int], response: list[int], temperature: float = 1.0) -> Tensor:
    """The distributions of the tokens of one response, (T, V), by one pass over the whole."""
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            decoder = torch.tensor([[model.config.decoder_start_token_id, *response[:-1]]])
            logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=decoder).logits[0]
        else:
            logits = model(input_ids=torch.tensor([[*prompt, *response]]), use_cache=False).logits[
                0, len(prompt) - 1 : -1
            ]
    return (logits.double() / temperature).softmax(-1)


@pytest.mark.parametrize(
    ("name", "other", "share"),
    [
        ("llama", "qwen2", 0.3),
        ("gpt2", "gemma3", 0.5),
        ("gpt-neo", "bloom", 0.2),
        ("t5", "t5", 0.3),
        ("llama", None, 0),
    ],
)
def test_log_probabilities_are_those_of_the_mixture(name: str, other: str, share: float) -> None:
    student, teacher = make(name), make(other, seed=5) if other else None
    examples = sampler(student, teacher, teacher_share=share, temperature=1.5)(PROMPTS, seed=3)
    assert [example.prompt for example in examples] == PROMPTS
    for example in examples:
        [response], [logps] = example.responses, example.sampling_logps or []
        assert 1 <= len(response) == len(logps) <= 8
        assert END not in response[:-1]
        mixed = (1 - share) * shares(student, example.prompt, response, 1.5)
        if teacher:
            mixed = mixed + share * shares(teacher, example.prompt, response, 1.5)
        expected = mixed[range(len(response)), response].log()
        torch.testing.assert_close(torch.tensor(logps, dtype=torch.float64), expected, atol=1e-4, rtol=1e-4)


def test_frequencies_are_the_mixtures() -> None:
    student, teacher, n = make("llama"), make("qwen2", seed=5), 4000
    examples = sampler(student, teacher, most=1, teacher_share=0.4)([PROMPTS[2]] * n, seed=1)
    counts = torch.bincount(torch.tensor([e.responses[0][0] for e in examples]), minlength=37).double() / n
    [expected] = 0.6 * shares(student, PROMPTS[2], [2]) + 0.4 * shares(teacher, PROMPTS[2], [2])
    error = (expected * (1 - expected) / n).sqrt()
    assert bool(((counts - expected).abs() < 5 * error + 1e-9).all())
    assert (shares(student, PROMPTS[2], [2])[0] - expected).abs().max() > 5 * error.max(), "the teacher's share shows"


def test_equal_seeds_give_equal_samples_and_others_do_not() -> None:
    draw = sampler(make("llama"))
    assert draw(PROMPTS, seed=3) == draw(PROMPTS, seed=3)
    assert draw(PROMPTS, seed=3) != draw(PROMPTS, seed=4)


def test_the_random_state_and_the_mode_are_left_alone() -> None:
    student = make("llama").train()
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    sampler(student)(PROMPTS, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert student.training


def test_a_token_without_a_share_is_never_picked() -> None:
    shares_BV = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]], dtype=torch.float64).expand(4, -1)
    chances = torch.tensor([0.0, 0.2499, 0.25, math.nextafter(1, 0)], dtype=torch.float64)
    assert _pick(shares_BV, chances).tolist() == [1, 1, 3, 3]


def on_policy(text: Examples | None = None) -> OnPolicy:
    student = make("llama")
    return OnPolicy(sampler(student), text, seed=7)


def test_how_a_step_is_cut_into_parts_changes_no_sample() -> None:
    prompts = [Example(prompt, []) for prompt in PROMPTS]
    draw = on_policy()
    whole, parts = draw([prompts], step=4), draw([prompts[:1], prompts[1:]], step=4)
    assert whole == [[*parts[0], *parts[1]]]
    assert draw([prompts], step=5) != whole


def test_text_stands_beside_the_samples_as_response_one() -> None:
    text = Examples([Example([2, 3], [[20, 21, END]]), Example([4], [[22, END]])])
    [examples] = on_policy(text)([[Example(prompt, []) for prompt in PROMPTS]], step=0)
    samples, texts = examples[:3], examples[3:]
    assert [example.prompt for example in samples] == PROMPTS
    assert all(len(example.responses) == 1 and example.responses[0] for example in samples)
    assert len(texts) == 3
    assert {tuple(map(tuple, example.responses)) for example in texts} <= {((), (20, 21, END)), ((), (22, END))}
    for some in (examples, texts):  # a micro-batch may hold texts alone
        batch = DecoderLayout(0)(some)
        assert not batch["sampling_logps"][batch["response"] == 1].any()
        assert bool((batch["sampling_logps"][batch["response"] == 0] < 0).all())


def credit(rewards: Sequence[Tensor], total: Any) -> list[Tensor]:
    """Each reward over the number of all: wrong where they are not given together, or with padding."""
    return [reward_T / total(torch.tensor(sum(map(len, rewards)))) for reward_T in rewards]


@pytest.mark.parametrize(("name", "other", "share"), [("llama", "qwen2", 0.3), ("t5", "t5", 0)])
def test_tokens_are_credited_for_rewards_of_all_samples(name: str, other: str, share: float) -> None:
    student, teacher = make(name), make(other, seed=5)
    examples = sampler(student, teacher, teacher_share=share, credit=credit)(PROMPTS, seed=3)
    count = sum(len(example.responses[0]) for example in examples)
    for example in examples:
        [response], [found] = example.responses, example.advantages or []
        at = (range(len(response)), response)
        p_T, q_T = (shares(model, example.prompt, response)[at].log() for model in (teacher, student))
        torch.testing.assert_close(torch.tensor(found).double(), (p_T - q_T) / count, atol=1e-4, rtol=1e-4)


def test_texts_are_credited_with_samples_tokens_over_theirs() -> None:
    """So that a sum over texts, divided by the samples' tokens, is a mean over texts' tokens."""
    text = Examples([Example([2, 3], [[20, 21, END]]), Example([4], [[22, END]])])
    draw = OnPolicy(sampler(make("llama"), make("qwen2", seed=5), credit=credit), text, seed=7)
    prompts = [Example(prompt, []) for prompt in PROMPTS]
    parts = draw([prompts[:1], prompts[1:]], step=0)
    samples = [e for part in parts for e in part if len(e.responses) == 1]
    texts = [e for part in parts for e in part if len(e.responses) == 2]
    drawn, read = sum(len(e.responses[0]) for e in samples), sum(len(e.responses[1]) for e in texts)
    assert [e.advantages for e in texts] == [[[], [drawn / read] * len(e.responses[1])] for e in texts]
    assert [e for part in draw([prompts], step=0) for e in part] == [*samples, *texts]
    batch = DecoderLayout(0)(parts[0])
    assert batch["advantages"].sum().item() == pytest.approx(
        sum(value for e in parts[0] for row in e.advantages or [] for value in row), rel=1e-5
    )
