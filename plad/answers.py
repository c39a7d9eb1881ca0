"""A model of a run, asked: the backend that the recipe names, over the store of all generations, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from plad.config import Recipe, Sample
from plad.generation import Cached, Generator, OpenAI, Store
from plad.models.load import Precision
from plad.records import Generation, Prompt, blocks
from plad.runs import Run

AT_ONCE = 4096
"""Prompts that a generator is handed together, and that are in memory until they are answered."""


class Answering:
    """The teacher or a student of a run, ready to answer.

    Raises:
        PladError: the model doesn't load, a key is missing, or the store can't be used.
    """

    def __init__(self, run: Run, recipe: Recipe, name: str, sampling: Sample, dtype: Precision):
        self.sampling, self.store, self.counts = sampling, Store(journal=run.answered), Counter[str]()
        # A folder that was deleted and made anew is another run, with a budget of its own.
        self.payer = f"{run.url or run.folder.resolve()} {run.manifest.get('created')}"
        self.before = self.store.spent(self.payer)
        self.model = recipe.teacher.model if name == "teacher" else recipe.student.model
        self.cached = Cached(self._generator(run, recipe, name, dtype), self.store, self.payer)

    def answers(self, prompts: Sequence[Prompt], seed: int, progress: Callable[[int], None]) -> Iterator[Generation]:
        """The answers in the order of the prompts; `progress` is told how many are there.

        Some prompts after others, so that memory does not grow with their number.
        """
        generator = self.cached.generator
        try:
            for some in blocks(prompts, getattr(generator, "at_once", AT_ONCE)):
                if isinstance(self.model, OpenAI):
                    generator.spent = self.store.spent(self.payer)  # type: ignore[attr-defined]
                yield from self._block(list(some), seed, progress)
            self.paid = self.store.spent(self.payer) - self.before
        finally:
            self.store.close()

    def summary(self) -> dict[str, Any]:
        """What was answered; of a teacher that costs money also what this came to, now and if it were asked anew."""
        counted: dict[str, Any] = {name: self.counts[name] for name in ("n", "tokens", "truncated")}
        if self.counts["failed"]:
            counted["failed"] = self.counts["failed"]
        if self.cached.reused:
            counted["reused"] = self.cached.reused
        if isinstance(self.model, OpenAI):
            counted |= {
                "prompt_tokens": self.counts["prompt_tokens"],
                "paid": {"requests": self.paid.requests, "prompt_tokens": self.paid.prompt_tokens}
                | {"tokens": self.paid.tokens, "money": round(self.model.price.of(self.paid), 6)},
            }
        return counted

    def _block(self, prompts: list[Prompt], seed: int, progress: Callable[[int], None]) -> list[Generation]:
        found: list[Generation] = []
        for generation in self.cached.generate(prompts, self.sampling, seed):
            found.append(generation)
            progress(self.counts["n"] + len(found))
        self._count(found)
        place = {prompt.id: n for n, prompt in enumerate(prompts)}
        return sorted(found, key=lambda generation: (place[generation.id], generation.sample))

    def _count(self, found: Sequence[Generation]) -> None:
        self.counts["n"] += len(found)
        self.counts["tokens"] += sum(answer.tokens for answer in found)
        self.counts["truncated"] += sum(not answer.finished and answer.failure is None for answer in found)
        self.counts["failed"] += sum(answer.failure is not None for answer in found)
        self.counts["prompt_tokens"] += sum(answer.prompt_tokens or 0 for answer in found)

    def _generator(self, run: Run, recipe: Recipe, name: str, dtype: Precision) -> Generator:
        shown = recipe.prompt_of(name)
        if name == "teacher" and isinstance(self.model, OpenAI):
            return self.model.generator(shown, self.before, lambda usage: self.store.lose(self.payer, usage))
        if name == "teacher" and recipe.teacher.text_only:
            return self.model.generator(shown)
        engine, folder = self.sampling.backend, run.path("models", name)
        bits = getattr(self.model, "quantise", None) if name == "teacher" else None
        held = {"quantise": bits} if bits else {}  # of the backends hf alone can
        return engine.generator(folder, shown, dtype, self.sampling.batch_size, **held)
