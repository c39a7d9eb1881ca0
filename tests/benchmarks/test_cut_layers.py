"""The search for layers that a model can do without, against losses that transformers has of models cut by hand."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from plad.config import load_recipe
from plad.errors import PladError
from plad.training.layout import Batch, Example
from plad.training.likelihood import choose_layout

EXAMPLES = [Example([5, 6, 7], [[8, 9, 2]]), Example([10, 11], [[12, 2]])]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return import_module("cut_layers")


@pytest.fixture
def model() -> Any:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def batch(model: Any) -> Batch:
    return choose_layout(model, 0)(EXAMPLES)


def expected(model: Any, left: list[int]) -> float:
    """Nats a token by transformers' own loss, whose mean is over the tokens of one example."""
    whole, total = model.model.layers, 0.0
    model.model.layers = nn.ModuleList(whole[n] for n in left)
    for example in EXAMPLES:
        [response] = example.responses
        ids = torch.tensor([[*example.prompt, *response]])
        labels = ids.clone()
        labels[:, : len(example.prompt)] = -100
        with torch.no_grad():
            total += model(ids, labels=labels, use_cache=False).loss.item() * len(response)
    model.model.layers = whole
    return total / 5


def test_the_layer_whose_loss_costs_least_goes_first(script: Any, model: Any, batch: Batch) -> None:
    assert script.loss(model, batch) == pytest.approx(expected(model, [0, 1, 2, 3]), rel=1e-5)
    without = {n: expected(model, [k for k in range(4) if k != n]) for n in range(4)}
    first = min(without, key=without.get)  # type: ignore[arg-type]
    three = [n for n in range(4) if n != first]
    again = {n: expected(model, [k for k in three if k != n]) for n in three}
    second = min(again, key=again.get)  # type: ignore[arg-type]
    found = list(script.path(model, batch, 2))
    assert [(dropped, left) for dropped, left, _ in found] == [
        (first, three),
        (second, [n for n in three if n != second]),
    ]
    assert [cost for *_, cost in found] == pytest.approx([without[first], again[second]], rel=1e-5)
    assert len(model.model.layers) == 4, "the model itself stays whole"


def test_a_student_with_random_weights_is_refused(script: Any, tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match="has random weights"):
        script.ready(load_recipe(tiny_recipe), 2)
