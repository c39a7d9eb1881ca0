"""Sampling, pairing and tokenising hold some prompts at a time, however many there are."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_run import Recorder

from plad import answers
from plad.answers import Answering
from plad.config import Recipe, load_recipe
from plad.losses import RankingCalibration
from plad.models import PromptFormat
from plad.models.tokens import train_bytes
from plad.records import Generation, Prompt, read_records
from plad.runs import Run, write_jsonl
from plad.stages import Context, sample
from plad.stages import pair as pair_stage
from plad.training.examples import from_pairs


class AtOnce:
    """A model that answers by the first word, or the last; costs nothing and is not kept."""

    identity = None

    def __init__(self, name: str):
        self.word, self.calls = 0 if name == "teacher" else -1, list[int]()

    def rendered(self, prompt: Prompt) -> str:
        return prompt.text

    def generate(self, prompts: Sequence[Prompt], sampling: Any, seed: int, done: Any = ()) -> Iterator[Generation]:
        self.calls.append(len(prompts))
        for prompt in reversed(prompts):
            yield Generation(prompt.id, prompt.text.split()[self.word], tokens=1)


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    return load_recipe(tiny_recipe)


@pytest.fixture
def context(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Context]:
    """A run with so many prompts to distil on, handed over a hundred at a time."""
    models: dict[str, AtOnce] = {}
    monkeypatch.setattr(answers, "AT_ONCE", 100)
    # By name: the package has the stage of that name in the module's place.
    monkeypatch.setattr(sys.modules["plad.stages.pair"], "AT_ONCE", 100)
    monkeypatch.setattr(
        Answering, "_generator", lambda self, run, recipe, name, dtype: models.setdefault(name, AtOnce(name))
    )

    def make(count: int) -> Context:
        models.clear()
        run = Run(tmp_path / f"run-{count}")
        prompts = (Prompt(f"{k:06}", f"first{k} " + "some words between " * 20 + f"last{k}") for k in range(count))
        write_jsonl(run.path("data", "distill.jsonl"), prompts)
        workspace = run.workspace("all", "0" * 12)
        context = Context(run, recipe, Recorder(), workspace)
        context.display.models = models  # type: ignore[attr-defined]
        return context

    return make


def worked(context: Context) -> Any:
    for name in ("teacher", "student"):
        sample(context, name)
    pair_stage(context)
    formatter = PromptFormat().bind(train_bytes(["a few words"], 300, 1024))
    return from_pairs(context.pairs(), formatter, RankingCalibration(), context.workspace / ".examples.jsonl")


def test_answers_come_in_blocks_and_stand_in_the_order_of_the_prompts(context: Callable[[int], Context]) -> None:
    here = context(250)
    examples = worked(here)
    assert here.display.models["teacher"].calls == [100, 100, 50]  # type: ignore[attr-defined]
    file = here.run.path("generations", "student.jsonl")
    assert [(one.id, one.response) for one in read_records(file, Generation)] == [
        (f"{k:06}", f"last{k}") for k in range(250)
    ]
    assert [(pair.id, pair.chosen, pair.rejected) for pair in here.pairs()] == [
        (f"{k:06}", f"first{k}", f"last{k}") for k in range(250)
    ]
    assert len(examples) == len(examples.tokens) == 250
    assert (
        examples.tokens[17] == examples[17].tokens == len(examples[17].prompt) + sum(map(len, examples[17].responses))
    )


@pytest.mark.slow
def test_memory_does_not_grow_with_prompts_answers_and_pairs(context: Callable[[int], Context]) -> None:
    def peak(count: int) -> int:
        here = context(count)
        tracemalloc.start()
        try:
            assert len(worked(here)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)  # what is loaded once
    small, large = peak(500), peak(4_000)
    # Places and lengths, 8 bytes each; a prompt alone is above 400.
    assert (large - small) / 3_500 < 100
