"""Several rejected answers to a prompt: one pass, and the loss of as many pairs."""

from __future__ import annotations

import math
import random

import pytest
import torch
from tiny import MODELS, letters

from plad.losses import DPO, Loss, MarginCalibration, RankingCalibration, Sequences, SimPO
from plad.losses.pairs import one_to_one
from plad.models import PromptFormat
from plad.records import PreferencePair
from plad.training.examples import from_pairs
from plad.training.layout import DecoderLayout, EncoderDecoderLayout, Example
from plad.training.likelihood import sequences
from plad.training.reference import with_reference

LOSSES = [RankingCalibration(margin=2.0), MarginCalibration(margin=0.5), DPO(), SimPO()]


def ids(rng: random.Random, most: int) -> list[int]:
    return [rng.randrange(2, 37) for _ in range(rng.randint(1, most))]


@pytest.fixture
def examples() -> list[Example]:
    """Three prompts with three, one and two rejected answers; scores and references are made up."""
    rng = random.Random(5)

    def example(negatives: int) -> Example:
        numbers = [[rng.uniform(-2, 2) for _ in range(negatives + 1)] for _ in range(2)]
        return Example(ids(rng, 9), [ids(rng, 6) for _ in range(negatives + 1)], *numbers)

    return [example(negatives) for negatives in (3, 1, 2)]


def apart(example: Example) -> list[Example]:
    """An example for each pair."""
    assert example.scores is not None
    assert example.reference_logps is not None
    return [
        Example(
            example.prompt,
            [example.responses[0], example.responses[r]],
            [example.scores[0], example.scores[r]],
            [example.reference_logps[0], example.reference_logps[r]],
        )
        for r in range(1, len(example.responses))
    ]


@pytest.mark.parametrize("architecture", ["llama", "gpt-neo", "t5"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.type)
def test_one_pass_is_as_many_pairs(loss: Loss, architecture: str, examples: list[Example]) -> None:
    torch.manual_seed(0)
    model = MODELS[architecture]().eval()
    layout = EncoderDecoderLayout(0, 0) if architecture == "t5" else DecoderLayout(0, architecture == "llama")
    together = loss(sequences(model, layout(examples)))
    together.loss.backward()
    gradient = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    alone = [loss(sequences(model, layout([pair]))) for example in examples for pair in apart(example)]
    total = torch.stack([output.loss for output in alone]).sum()
    total.backward()
    assert together.units == sum(output.units for output in alone) == 6
    assert together.loss.item() == pytest.approx(total.item(), rel=1e-5)
    for name, value in together.metrics.items():
        assert float(value) == pytest.approx(sum(float(output.metrics[name]) for output in alone), abs=1e-4), name
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradient[name], parameter.grad, rtol=1e-3, atol=2e-5, msg=name)


def test_the_mean_of_the_hinges_by_hand() -> None:
    # Means of log q: y⁺ −1; y⁻ −1, −2 and −3. At β = 1.5 the hinges are 1.5, 0.5 and 0: two still give a gradient.
    logps = torch.tensor([[[-1.0], [-1.0], [-2.0], [-3.0]]], requires_grad=True)
    output = RankingCalibration(margin=1.5)(Sequences(logps, torch.ones(1, 4, dtype=torch.long)))
    assert (output.loss.item(), output.units.item(), output.active.item()) == (2.0, 3, 2)
    output.loss.backward()
    assert logps.grad.flatten().tolist() == [-2, 1, 1, 0]


def test_two_responses_are_left_as_they_are() -> None:
    two = Sequences(torch.zeros(2, 2, 3), torch.ones(2, 2, dtype=torch.long))
    assert one_to_one(two) is two


def test_pairs_of_one_prompt_are_one_example() -> None:
    formatter = PromptFormat().bind(letters())
    pairs = [PreferencePair("a", "why", "yes", text, 2.0, score) for text, score in (("no", 1.0), ("nah", 0.5))]
    pairs += [PreferencePair("b", "why", "yes", "no", 2.0, 1.0), PreferencePair("b", "why", "no", "nay", 1.0, 0.0)]
    found = list(from_pairs(pairs, formatter, MarginCalibration()))
    assert [len(example.responses) for example in found] == [3, 2, 2], "what was turned round stands alone"
    assert found[0].scores == [2.0, 1.0, 0.5]


def test_references_are_those_of_an_examples_own_responses(examples: list[Example]) -> None:
    def score(some: list[Example]) -> Sequences:
        lengths = torch.zeros(len(some), 4, dtype=torch.long)
        for place, example in enumerate(some):
            lengths[place, : len(example.responses)] = torch.tensor([len(y) for y in example.responses])
        return Sequences(-lengths[..., None].float() * math.pi, lengths)

    from plad.training.examples import Examples

    for example in with_reference(Examples(examples), score, batch_size=3):
        assert example.reference_logps == pytest.approx([-math.pi * len(y) for y in example.responses])
