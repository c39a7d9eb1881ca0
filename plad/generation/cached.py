"""A generator that keeps what it gives, and gives what is kept without asking again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plad import interrupt
from plad.generation.base import Done, Generator, Sampling
from plad.generation.store import Store, generation_key, model_id
from plad.records import Generation, Prompt


class Cached:
    """Any generator over a store: each answer is written as it arrives, and asked for once.

    Failures are not kept: the next call tries again.

    Args:
        payer: whose account the requests are on; `store.spent(payer)` tells what they came to.
    """

    def __init__(self, generator: Generator, store: Store, payer: str = ""):
        self.generator, self.store, self.payer, self.reused = generator, store, payer, 0

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """That of the generator."""
        return self.generator.identity

    def rendered(self, prompt: Prompt) -> str:
        """As the generator renders it."""
        return self.generator.rendered(prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """What is kept first, then the rest as it is ready. Prompts that look alike to the model are asked once.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; what was under way is kept.
        """
        if (identity := self.identity) is None:
            yield from self.generator.generate(prompts, sampling, seed, done)
            interrupt.check()
            return
        twins = _twins(self.generator, prompts)
        keys = _keys(model_id(identity), twins, sampling, seed)
        kept = self.store.get(keys.values())
        have = {place for place, key in keys.items() if key in kept}
        self.reused += len(have)
        for name, sample in have:
            yield from _for_each(kept[keys[name, sample]], twins[name][1])
        if len(have) == len(keys):
            return
        firsts = [alike[0] for _, alike in twins.values()]
        for generation in self.generator.generate(firsts, sampling, seed, have | set(done)):
            place = (generation.id, generation.sample)
            if place not in have:
                if generation.failure is None:
                    self.store.put(identity, keys[place], generation, self.payer)
                yield from _for_each(generation, twins[generation.id][1])
        interrupt.check()


def unanswered(
    generator: Generator, prompts: Sequence[Prompt], sampling: Sampling, seed: int, store: Store | None
) -> list[tuple[Prompt, list[int]]]:
    """What `Cached` would ask for, without asking: the first prompt of each kind, with the samples that aren't kept.

    Args:
        store: None where nothing was ever kept.
    """
    twins, identity = _twins(generator, prompts), generator.identity
    keys = _keys(model_id(identity or {}), twins, sampling, seed)
    kept = store.get(keys.values()) if store is not None and identity is not None else {}
    numbers = range(sampling.samples)
    return [(alike[0], [n for n in numbers if keys[name, n] not in kept]) for name, (_, alike) in twins.items()]


def _twins(generator: Generator, prompts: Sequence[Prompt]) -> dict[str, tuple[str, list[Prompt]]]:
    """By the id of the first prompt of each kind: what the model is shown, and the prompts that come to it."""
    alike: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        alike.setdefault(generator.rendered(prompt), []).append(prompt)
    return {some[0].id: (text, some) for text, some in alike.items()}


def _keys(
    model: str, twins: Mapping[str, tuple[str, list[Prompt]]], sampling: Sampling, seed: int
) -> dict[tuple[str, int], str]:
    # How many samples are wanted changes none of them, and greedy decoding draws nothing.
    seed = seed if sampling.temperature > 0 else 0
    settings = sampling.model_dump(include=set(Sampling.model_fields) - {"samples"})
    return {
        (name, sample): generation_key(model, text, settings, seed, sample)
        for name, (text, _) in twins.items()
        for sample in range(sampling.samples)
    }


def _for_each(generation: Generation, prompts: Sequence[Prompt]) -> Iterator[Generation]:
    for prompt in prompts:
        yield replace(generation, id=prompt.id)
