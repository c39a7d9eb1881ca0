"""MiniLLM's gradient against the exact gradient of the reverse KL of sequences, enumerated over a tiny vocabulary."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from plad.losses import MiniLLM, Sequences

V, T, END = 3, 3, 0
PAPER = {"teacher_share": 0.0, "length_normalise": False, "clip": None, "text": 0.0}


class Table:
    """A language model that is a table: logits for every prefix of up to T tokens."""

    def __init__(self, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.prefixes = [p for n in range(T) for p in itertools.product(range(1, V), repeat=n)]
        self.logits = torch.randn(len(self.prefixes), V, generator=generator, dtype=torch.float64)

    def logps(self, response: tuple[int, ...]) -> Tensor:
        """Log-probabilities of every next token along a response, (len, V)."""
        rows = [self.prefixes.index(response[:t]) for t in range(len(response))]
        return self.logits[rows].log_softmax(-1)


def responses() -> list[tuple[int, ...]]:
    """All that can be said: sequences of other tokens that END ends, or the limit of T."""
    ended = [(*p, END) for n in range(T) for p in itertools.product(range(1, V), repeat=n)]
    return [*ended, *itertools.product(range(1, V), repeat=T)]


def logp(model: Table, response: tuple[int, ...]) -> Tensor:
    return model.logps(response)[range(len(response)), list(response)].sum()


def sequences_of(
    some: list[tuple[int, ...]], student: Table, teacher: Table, loss: MiniLLM, share: float = 0.0
) -> Sequences:
    """What the engine would make of these samples."""
    values = torch.zeros(4, len(some), 1, T, dtype=torch.float64)
    rows = []
    for y in some:
        q, p = student.logps(y), teacher.logps(y)
        at = (range(len(y)), list(y))
        mixed = torch.logaddexp(p + math.log(share), q + math.log1p(-share)) if share else q
        filled = [q[at], p[at], loss.divergence(q, p, torch.zeros(len(y))), mixed[at].detach()]
        rows.append(torch.stack([torch.nn.functional.pad(value, (0, T - len(y))) for value in filled]))
    values = torch.stack(rows, 1)[:, :, None]
    return Sequences(
        token_logps_BRT=values[0],
        lengths_BR=torch.tensor([[len(y)] for y in some]),
        teacher_logps_BRT=values[1],
        divergence_BRT=values[2],
        sampling_logps_BRT=values[3],
    )


def gradient(value: Tensor, student: Table) -> Tensor:
    (found,) = torch.autograd.grad(value, student.logits)
    return found


def models() -> tuple[Table, Table]:
    student, teacher = Table(1), Table(2)
    student.logits.requires_grad_()
    return student, teacher


def exact(student: Table, teacher: Table) -> Tensor:
    """∇ Σ_y q(y)·log q(y)/p(y), over every y."""
    terms = [logp(student, y).exp() * (logp(student, y) - logp(teacher, y)) for y in responses()]
    return gradient(torch.stack(terms).sum(), student)


def test_the_enumeration_is_of_a_distribution() -> None:
    student, _ = models()
    assert sum(logp(student, y).exp().item() for y in responses()) == pytest.approx(1)
    assert len(responses()) == 15


def test_the_expected_gradient_is_that_of_the_reverse_kl() -> None:
    """No sampling: each y with its own probability, so the equality is exact."""
    student, teacher = models()
    loss = MiniLLM(**PAPER)
    expected = torch.zeros_like(student.logits)
    for y in responses():
        output = loss(sequences_of([y], student, teacher, loss))
        expected += logp(student, y).exp().item() * gradient(output.loss, student)
    torch.testing.assert_close(expected, exact(student, teacher), atol=1e-12, rtol=1e-9)


def test_samples_estimate_it() -> None:
    student, teacher = models()
    loss = MiniLLM(**PAPER)
    weights = torch.stack([logp(student, y).exp() for y in responses()]).detach()
    drawn = torch.multinomial(weights, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn, minlength=len(weights)).double() / len(drawn)
    each = torch.stack([gradient(loss(sequences_of([y], student, teacher, loss)).loss, student) for y in responses()])
    found, truth = torch.einsum("y,yrv->rv", counts, each), exact(student, teacher)
    spread = torch.einsum("y,yrv->rv", weights, (each - truth) ** 2).sqrt() / math.sqrt(len(drawn))
    assert bool(((found - truth).abs() <= 5 * spread + 1e-9).all()), "within five standard errors"
    assert truth.abs().max() > 20 * spread.max(), "which are small beside the gradient"


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_one_sample_against_the_formula_written_out(normalise: bool, clip: float | None) -> None:
    """With a teacher's share of a half; weights, returns and the clip in plain loops."""
    student, teacher = models()
    loss = MiniLLM(teacher_share=0.5, length_normalise=normalise, clip=clip, text=0)
    clipped = 0
    for y in [(1, 2, 0), (2, 1, 1), (1, 0), (0,)]:
        q, p = student.logps(y), teacher.logps(y)
        total = torch.zeros(())
        for t, token in enumerate(y):
            mixed = 0.5 * p[t, token].exp() + 0.5 * q[t, token].exp()
            weight = (q[t, token].exp() / mixed).item()
            later = [(p[k, y[k]] - q[k, y[k]]).item() for k in range(t + 1, len(y))]
            reward = sum(later) / (max(len(later), 1) if normalise else 1)
            total = total + weight * (q[t].exp() * (q[t] - p[t])).sum()
            outside = clip is not None and ((weight > 1 + clip and reward > 0) or (weight < 1 - clip and reward < 0))
            clipped += outside
            if not outside:
                total = total - weight * reward * q[t, token]
        ours = loss(sequences_of([y], student, teacher, loss, share=0.5))
        torch.testing.assert_close(gradient(ours.loss, student), gradient(total, student))
    assert bool(clipped) == (clip is not None), "the case that is to be tested occurs"


def test_three_tokens_by_hand() -> None:
    """Returns of rewards 1, 2, 4: sums (6, 4, 0) and means (3, 4, 0)."""
    lengths, rewards = torch.tensor([3]), torch.tensor([[1.0, 2.0, 4.0, 0.0]])
    assert MiniLLM(length_normalise=False)._returns(rewards, lengths).tolist() == [[6, 4, 0, 0]]
    assert MiniLLM()._returns(rewards, lengths).tolist() == [[3, 4, 0, 0]]


def test_padding_order_and_company_change_nothing() -> None:
    student, teacher = models()
    loss, some = MiniLLM(text=0), [(1, 2, 1), (0,), (2, 0)]
    together = loss(sequences_of(some, student, teacher, loss, share=0.2))
    alone = [loss(sequences_of([y], student, teacher, loss, share=0.2)) for y in some[::-1]]
    assert together.units.item() == 3
    assert together.loss.item() == pytest.approx(sum(output.loss.item() for output in alone))


def test_text_is_response_one_and_adds_its_likelihood_per_token() -> None:
    """A sample of one token that both models find certain, and a text of two tokens at −1 and −3."""
    token_logps = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [-1.0, -3.0]]], requires_grad=True)
    zeros = torch.zeros(2, 2, 2)
    batch = Sequences(token_logps, torch.tensor([[1, 0], [0, 2]]), None, None, zeros, zeros, zeros)
    output = MiniLLM(text=0.5)(batch)
    output.loss.backward()
    assert output.loss.item() == pytest.approx(0.5 * 2)
    assert output.units.item() == 1, "samples are counted, and text is not"
    assert token_logps.grad is not None
    assert token_logps.grad[1, 1].tolist() == [-0.25, -0.25]


def test_what_it_wants_drawn() -> None:
    asked = MiniLLM().rollout()
    assert (asked.teacher_share, asked.with_text, asked.temperature) == (0.2, True, 1.0)
    assert not MiniLLM(text=0).rollout().with_text
