"""What a stage is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.progress import Display
from plad.records import EvalRow, Generation, Lines, PreferencePair, Prompt, read_records
from plad.runs import Run

SPLITS = ("train", "distill", "validation", "test")


@dataclass(frozen=True)
class Context:
    """What a stage is given: the run, its recipe, where to show progress, and a folder for work in progress."""

    run: Run
    recipe: Recipe
    display: Display
    workspace: Path

    def prompts(self, name: str) -> Sequence[Prompt]:
        """The prompts of a split, on disk."""
        return read_records(self.run.path("data", f"{name}.jsonl"), Prompt)

    def learnt_from(self) -> Sequence[Prompt]:
        """The prompts of the distillation half that are learnt from: the first, in an order that is by chance."""
        prompts = self.prompts("distill")
        return prompts[: max(1, round(self.recipe.distill.share * len(prompts)))]

    def asked(self) -> Sequence[Prompt]:
        """The prompts that every model is evaluated on."""
        return self.prompts(self.recipe.evaluate.split)

    def generations(self, name: str) -> Sequence[Generation]:
        """What a model answered on the distillation half, on disk, in the order of its prompts."""
        return read_records(self.run.path("generations", f"{name}.jsonl"), Generation)

    def evaluated(self, name: str) -> Lines[EvalRow]:
        """What a model answered to the prompts that it was evaluated on, and what that is worth, on disk."""
        return read_records(self.run.path("evaluation", f"{name}.jsonl"), EvalRow)

    def pairs(self) -> Sequence[PreferencePair]:
        """The preference pairs, on disk."""
        return read_records(self.run.path("pairs.jsonl"), PreferencePair)

    def seed(self, purpose: str) -> int:
        """A seed for one purpose, so that no two stages draw the same numbers."""
        return self.recipe.seed_for(purpose)


Stage = Callable[[Context], dict[str, Any]]
