"""MiniLLM as coded: advantages by hand and in plain loops, and the loss on samples of a tiny table of a model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from test_minillm import gradient, models, sequences_of
from torch import Tensor

from plad.losses import MiniLLMCode, Sequences

SAMPLES = [(1, 2, 0), (2, 1, 1), (1, 0), (0,)]
SHARE = 0.2


def alone(value: Tensor) -> Tensor:
    return value


def advantages(rewards: list[list[float]], loss: MiniLLMCode) -> list[list[float]]:
    return [found.tolist() for found in loss.credit([torch.tensor(row) for row in rewards], alone)]


def in_loops(rewards: list[list[float]], loss: MiniLLMCode) -> list[list[float]]:
    """The formula, one token at a time."""
    returns: list[list[float]] = []
    for row in rewards:
        cut = [max(-loss.limit, min(loss.limit, loss.scale * r)) for r in row]
        returns.append([])
        for t in range(len(cut)):
            earned = sum(loss.discount ** (k - t) * cut[k] for k in range(t, len(cut)))
            returns[-1].append(earned / (len(cut) - t))
    every = [value for row in returns for value in row]
    mean = sum(every) / len(every)
    spread = math.sqrt(sum((value - mean) ** 2 for value in every) / len(every) + 1e-8)
    return [[(value - mean) / spread for value in row] for row in returns]


def test_three_tokens_by_hand() -> None:
    """Rewards 1, 2, 4 at γ = ½: earned 3, 4, 4 of 3, 2, 1 tokens, so 1, 2, 4 again; mean 7/3, variance 14/9."""
    loss = MiniLLMCode(scale=1, discount=0.5)
    assert loss._returns(torch.tensor([1.0, 2.0, 4.0]).double()).tolist() == [1, 2, 4]
    [found] = advantages([[1.0, 2.0, 4.0]], loss)
    assert found == pytest.approx([-4 / math.sqrt(14), -1 / math.sqrt(14), 5 / math.sqrt(14)])


def test_a_reward_is_scaled_and_then_cut() -> None:
    loss = MiniLLMCode(scale=2, limit=10)
    assert loss._returns(torch.tensor([7.0, 3.0]).double()).tolist() == [(10 + 0.95 * 6) / 2, 6]
    assert loss._returns(torch.tensor([float("-inf")]).double()).tolist() == [-10]


def test_advantages_against_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = [(3 * torch.randn(n, generator=generator, dtype=torch.float64)).tolist() for n in (5, 1, 9, 2)]
    for loss in (MiniLLMCode(), MiniLLMCode(scale=1, limit=2, discount=1)):
        for ours, expected in zip(advantages(rewards, loss), in_loops(rewards, loss), strict=True):
            assert ours == pytest.approx(expected, rel=1e-6)  # rewards came as fp32


def test_they_have_mean_0_and_variance_1_and_know_no_order() -> None:
    rewards, loss = [[0.5, -2.0, 1.0], [3.0], [-1.0, 0.25]], MiniLLMCode()
    found = advantages(rewards, loss)
    every = torch.tensor([value for row in found for value in row])
    assert every.mean().item() == pytest.approx(0, abs=1e-6)
    assert every.var(correction=0).item() == pytest.approx(1, abs=1e-5)
    for ours, other in zip(advantages(rewards[::-1], loss)[::-1], found, strict=True):
        assert ours == pytest.approx(other)


def test_equal_returns_are_worth_nothing() -> None:
    assert advantages([[1.0], [1.0]], MiniLLMCode()) == [[0], [0]]


def test_processes_weigh_their_samples_together() -> None:
    """Two processes of which each knows what the other sums: the same as one with all samples."""
    loss, rewards = MiniLLMCode(), [torch.tensor(row) for row in ([0.5, -2.0, 1.0], [3.0], [-1.0, 0.25], [4.0, 1.0])]
    whole = loss.credit(rewards, alone)
    sums: list[list[Tensor]] = [[], []]

    def exchanged(process: int) -> list[Tensor]:
        """Replays what the other has summed so far; what is not there yet counts as nothing."""
        mine: list[Tensor] = []

        def total(value: Tensor) -> Tensor:
            place, other = len(mine), sums[1 - process]
            mine.append(value)
            return value + other[place] if place < len(other) else value

        found = loss.credit(rewards[2 * process : 2 * process + 2], total)
        sums[process] = mine
        return found

    for _ in range(3):  # the second sum depends on the first, which must have come from both
        parts = [exchanged(process) for process in (0, 1)]
    for ours, expected in zip([*parts[0], *parts[1]], whole, strict=True):
        torch.testing.assert_close(ours, expected)


def credited(some: list[tuple[int, ...]], loss: MiniLLMCode) -> tuple[Sequences, Tensor]:
    """What the engine would make of these samples of the mixture, and what to differentiate by."""
    student, teacher = models()
    made = sequences_of(some, student, teacher, loss, share=SHARE)
    lengths = [len(y) for y in some]
    rewards = (made.teacher_logps_BRT - made.token_logps_BRT)[:, 0].detach()
    found = loss.credit([row[:n] for row, n in zip(rewards, lengths, strict=True)], alone)
    padded = [torch.nn.functional.pad(row, (0, rewards.shape[1] - len(row))) for row in found]
    return replace(made, advantages_BRT=torch.stack(padded)[:, None]), student


def test_the_loss_against_the_formula_written_out() -> None:
    """Weights, returns, whitening and the clip in plain loops in float64."""
    loss = MiniLLMCode(teacher_share=SHARE, text=0, clip=0.1)
    made, student = credited(SAMPLES, loss)
    _, teacher = models()
    logs = [(student.logps(y), teacher.logps(y)) for y in SAMPLES]
    rewards = [
        [(p[t, token] - q[t, token]).item() for t, token in enumerate(y)]
        for y, (q, p) in zip(SAMPLES, logs, strict=True)
    ]
    total, clipped = torch.zeros(()), 0
    for y, (q, p), credit in zip(SAMPLES, logs, in_loops(rewards, loss), strict=True):
        for t, token in enumerate(y):
            mixed = SHARE * p[t, token].exp() + (1 - SHARE) * q[t, token].exp()
            weight = (q[t, token].exp() / mixed).item()
            assert weight <= 1 / (1 - SHARE)
            total = total + (q[t].exp() * (q[t] - p[t])).sum()
            outside = (weight > 1.1 and credit[t] > 0) or (weight < 0.9 and credit[t] < 0)
            clipped += outside
            if not outside:
                total = total - weight * credit[t] * q[t, token]
    output = loss(made)
    torch.testing.assert_close(gradient(output.loss, student), gradient(total, student))
    assert 0 < clipped < 9, "the case that is to be tested occurs, and the other too"
    assert output.units.item() == 9, "tokens"


def test_padding_order_and_company_change_nothing() -> None:
    """Advantages travel with the samples, so that micro-batches of them add up."""
    loss = MiniLLMCode(teacher_share=SHARE, text=0)
    made, _ = credited(SAMPLES, loss)
    whole = loss(made)
    cut = [{name: None if value is None else value[[k]] for name, value in vars(made).items()} for k in (3, 1, 0, 2)]
    parts = [loss(Sequences(**one)) for one in cut]
    assert whole.loss.item() == pytest.approx(sum(part.loss.item() for part in parts))
    assert whole.units.item() == sum(part.units.item() for part in parts)


def test_text_is_a_mean_over_its_tokens() -> None:
    """Samples of 4 tokens that both models find certain, and a text of two at −1 and −3, credited with 4/2 each."""
    token_logps = torch.zeros(2, 2, 4)
    token_logps[1, 1, :2] = torch.tensor([-1.0, -3.0])
    token_logps.requires_grad_()
    advantages = torch.zeros(2, 2, 4)
    advantages[1, 1, :2] = 4 / 2
    zeros = torch.zeros(2, 2, 4)
    lengths = torch.tensor([[4, 0], [0, 2]])
    batch = Sequences(token_logps, lengths, None, None, zeros, zeros, zeros, advantages)
    output = MiniLLMCode(text=0.5)(batch)
    mean = output.loss / output.units
    mean.backward()
    assert mean.item() == pytest.approx(0.5 * 2)
    assert (output.metrics["text_nll"] / output.units).item() == 2
    assert token_logps.grad is not None
    assert token_logps.grad[1, 1].tolist() == [-0.25, -0.25, 0, 0]
