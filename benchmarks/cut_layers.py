"""Which layers a recipe's student can best do without: one after another, always that whose loss costs least.

    python benchmarks/cut_layers.py recipes/real-white-box.yaml --keep 15

The cost is the student's loss on references of the training half before it learns anything, in nats a token. A greedy
search, so that the best set of layers may be another. The last line is what `student.model.keep_layers` takes.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from plad.config import Recipe, load_recipe
from plad.data.splits import split
from plad.errors import PladError
from plad.models.depth import cut
from plad.training.examples import from_references
from plad.training.layout import Batch
from plad.training.likelihood import choose_layout, sequences


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("recipe", type=Path)
    options.add_argument("--keep", type=int, required=True, help="how many layers stay")
    options.add_argument("--examples", type=int, default=8)
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = options.parse_args()
    model, batch = ready(load_recipe(given.recipe, given.set), given.examples)
    print(f"{model.config.num_hidden_layers} layers: {loss(model, batch):.2f}", flush=True)
    left: list[int] = []
    for dropped, left, cost in path(model, batch, given.keep):
        print(f"{len(left)} layers, without {dropped}: {cost:.2f}", flush=True)
    print(f"keep_layers: {left}")


def ready(recipe: Recipe, number: int) -> tuple[Any, Batch]:
    """The student, whole, and the first examples of the training half as it reads them, in one batch."""
    if recipe.student.model.type != "pretrained":
        raise PladError("layers are cut from a student that knows something, but this one has random weights.")
    spec = recipe.student.model.model_copy(update={"keep_layers": None})
    train = split(recipe.task.source.prompts(), recipe.task.splits, recipe.seed).train
    tokenizer = spec.tokenizer([])
    formatter = recipe.prompt.bind(tokenizer)
    fitting = islice((prompt for prompt in train if formatter.fits(prompt.prompt)), number)
    model = spec.model(tokenizer, recipe.seed).eval()
    return model, choose_layout(model, formatter.end_id)(list(from_references(fitting, formatter)))


def path(model: Any, batch: Batch, keep: int) -> Iterator[tuple[int, list[int], float]]:
    """The layer that is dropped, those that are left, and the loss without it, until `keep` are left."""
    left = list(range(model.config.num_hidden_layers))
    while len(left) > keep:
        costs = {layer: loss(cut(copy.deepcopy(model), tuple(n for n in left if n != layer)), batch) for layer in left}
        dropped = min(costs, key=lambda layer: costs[layer])
        left.remove(dropped)
        yield dropped, list(left), costs[dropped]


@torch.no_grad()
def loss(model: Any, batch: Batch) -> float:
    """Nats a token of the references."""
    return float(-sequences(model, batch).logps("sum").sum() / batch["lengths"].sum())


if __name__ == "__main__":
    main()
