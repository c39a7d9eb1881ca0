"""A model of a run that is to leave it: found by its name, with the recipe that it came of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from plad.config import ModelRole, Recipe, Sample, load_recipe
from plad.errors import PladError, nearest
from plad.generation.hf import HF
from plad.models.load import load_folder
from plad.models.prompts import Formatter, PromptFormat, special_tokens
from plad.records import Prompt, read_jsonl
from plad.runs import Run
from plad.stages.models import dtype_of, formatter_of


@dataclass(frozen=True)
class RunModel:
    """A model of a run, and what the run knows of it."""

    run: Run
    recipe: Recipe
    name: str

    @property
    def folder(self) -> Path:
        """Where the run keeps it."""
        return self.run.path("models", self.name)

    @property
    def adapted(self) -> bool:
        """Whether it is an adapter, beside the path of the model that it changes."""
        return (self.folder / "adapter_config.json").is_file()

    @property
    def role(self) -> ModelRole:
        """The part of the recipe that says where it began: a trained student's is the student's."""
        return self.recipe.teacher if self.name == "teacher" else self.recipe.student

    @property
    def prompt(self) -> PromptFormat:
        """How the run showed it prompts: the teacher has a format of its own where the recipe gives it one."""
        return self.recipe.prompt_of(self.name)

    @property
    def sampling(self) -> Sample:
        """How the run asked it when it was evaluated."""
        return self.recipe.evaluate.sampling or self.recipe.sample

    @property
    def drawn(self) -> Sample:
        """How it answers where answers are to differ: as evaluated, or as its pairs were drawn where that is greedy."""
        chosen = self.sampling if self.sampling.temperature > 0 else self.recipe.sample
        return chosen.once

    @property
    def dtype(self) -> Any:
        """The precision that the recipe names for it."""
        return dtype_of(self.recipe, self.name)

    @cached_property
    def conversations(self) -> bool:
        """Whether the run's prompts are conversations, as opposed to plain text."""
        return any(not isinstance(prompt.prompt, str) for prompt in self.held_out(1))

    def load(self) -> tuple[Any, Any, Formatter]:
        """The whole model, an adapter merged into its base, its tokenizer, and its formatter."""
        model, tokenizer = load_folder(self.folder, self.dtype)
        return model, tokenizer, formatter_of(self.prompt, tokenizer, model)

    def held_out(self, count: int) -> list[Prompt]:
        """The first prompts of the split that the run is evaluated on.

        Raises:
            PladError: the run has not prepared its data.
        """
        file = self.run.path("data", f"{self.recipe.evaluate.split}.jsonl")
        if not file.is_file():
            raise PladError(f"held-out prompts come of the run's data, but {file} is not there. Run: plad prepare …")
        return list(islice(read_jsonl(file, Prompt), count))

    def comparable(self, count: int, formatter: Formatter) -> list[Prompt]:
        """Held-out prompts that every engine can be shown alike: whole, and without control tokens spelt out."""
        special = [token for token in special_tokens(formatter.tokenizer).values() if token.strip()]
        fitting = (
            prompt
            for prompt in self.held_out(20 * count)
            if formatter.fits(prompt.prompt) and not any(token in str(prompt.prompt) for token in special)
        )
        return list(islice(fitting, count))

    def greedy(self, prompts: list[Prompt]) -> list[str]:
        """What the run's own model answers at temperature 0, in the order of the prompts."""
        generator = HF().generator(self.folder, self.prompt, self.dtype, self.sampling.batch_size)
        answers = generator.generate(prompts, self.sampling.greedy, self.recipe.seed)
        found = {answer.id: answer.response for answer in answers}
        return [found[prompt.id] for prompt in prompts]


def find_model(folder: Path, name: str | None = None) -> RunModel:
    """A trained model of a run folder; without a name, the student that the run is about.

    Raises:
        PladError: there is no run, no such model in it, or the model is not there yet.
    """
    if not (folder / "recipe.yaml").is_file():
        raise PladError(f"a run folder has a recipe.yaml, but {folder} has none. `plad list` names the runs there are.")
    recipe = load_recipe(folder / "recipe.yaml")
    known = ["teacher", "student", *recipe.methods]
    if recipe.teacher.text_only:
        known.remove("teacher")
    wanted = known[-1] if name is None else name
    if wanted not in known:
        raise PladError(f"the run has no model {wanted!r}.{nearest(wanted, known)} Its models: {', '.join(known)}.")
    found = RunModel(Run(folder), recipe, wanted)
    if not (found.folder / "tokenizer.json").is_file():
        raise PladError(f"{folder} has no model {wanted!r} yet. Run: plad run {folder}")
    return found
