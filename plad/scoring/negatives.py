"""Preferences without an annotator: the human reference, and something worse for the same prompt.

Noise-contrastive pairs in the spirit of Gutmann and Hyvärinen (2010). Each kind teaches a head another thing, and
each is matched in length as far as it can be, for a head that only counts words must not look good.

- `mismatched`: another prompt's reference. Rejected and chosen responses are alike taken by themselves, so nothing
  but the relation between prompt and response tells them apart.
- `corrupted`: the reference with words dropped, repeated, shuffled, or cut off. Teaches form.
- `copied`: a span of the prompt as long as the reference. Copying the source must not pay.
- `model`: what some model answered.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt
from plad.scoring.base import is_empty, references

if TYPE_CHECKING:
    import torch

NEIGHBOURS = 20
END_MARKS = ".!?…"


@dataclass(frozen=True)
class Preference(PreferencePair):
    """A pair that remembers how its rejected response was made."""

    kind: str = "pair"


def mismatched(prompts: Sequence[Prompt], seed: int, prompt_vectors_ND: torch.Tensor | None = None) -> list[Preference]:
    """Reject the reference of another prompt, one pair a prompt.

    A third are drawn at random, a third among references with the same first word, a third among the prompts
    nearest by `prompt_vectors_ND` (unit vectors; without them these are random too). Of the candidates drawn, the
    one nearest in length is taken.

    Raises:
        PladError: a reference is missing, or all references are the same.
    """
    texts = references(prompts, "a mismatched preference")
    rng = random.Random(f"mismatched-{seed}")
    pools = [_anyone(len(texts)), _same_first_word(texts), _nearest(prompt_vectors_ND) or _anyone(len(texts))]
    pairs = []
    for index, prompt in enumerate(prompts):
        rejected = _nearest_in_length(texts[index], [texts[i] for i in pools[index % 3](index, rng)])
        if rejected is None:
            rejected = _nearest_in_length(texts[index], [texts[i] for i in range(len(texts))])
        if rejected is None:
            raise PladError(f"a mismatched preference needs two different references, but all {len(texts)} are alike.")
        pairs.append(_preference(prompt, rejected, "mismatched"))
    return pairs


def corrupted(prompts: Sequence[Prompt], seed: int) -> list[Preference]:
    """Reject a damaged copy of the reference. References under four words make no pair.

    Repeating is as frequent as dropping and truncating together, so that damage is as often longer as shorter. The
    full stop at the end is kept, except in half of the truncations: a missing dot would be too easy a sign.
    """
    rng = random.Random(f"corrupted-{seed}")
    damages = [_drop, _truncate, _repeat, _repeat, _shuffle]
    pairs = []
    for prompt, reference in zip(prompts, references(prompts, "a corrupted preference"), strict=True):
        words, end = _split_end(reference)
        damage = damages[rng.randrange(len(damages))]
        if len(words) >= 4:
            worse = " ".join(damage(words, rng))
            dotless = damage is _truncate and rng.random() < 0.5
            pairs.append(_preference(prompt, worse if dotless else worse + end, "corrupted"))
    return [pair for pair in pairs if pair.rejected.split() != pair.chosen.split()]


def copied(prompts: Sequence[Prompt], seed: int) -> list[Preference]:
    """Reject a span of the prompt with as many words as the reference. Prompts too short make no pair."""
    rng = random.Random(f"copied-{seed}")
    pairs = []
    for prompt, reference in zip(prompts, references(prompts, "a copied preference"), strict=True):
        words, length = prompt.text.split(), len(reference.split())
        start = rng.randrange(max(1, len(words) - length + 1))
        span = " ".join(words[start : start + length])
        if len(words) > length and span not in reference:
            pairs.append(_preference(prompt, span, "copied"))
    return pairs


def from_generations(prompts: Sequence[Prompt], generations: Sequence[Generation]) -> list[Preference]:
    """Reject what a model answered; empty answers and those equal to the reference make no pair.

    Raises:
        PladError: a generation belongs to none of the prompts, or a reference is missing.
    """
    references(prompts, "a preference over a model")
    by_id: Mapping[str, Prompt] = {prompt.id: prompt for prompt in prompts}
    if strangers := [generation.id for generation in generations if generation.id not in by_id]:
        raise PladError(
            f"{len(strangers)} of {len(generations)} generations belong to no prompt, first {strangers[0]!r}. "
            "Hand in the prompts that they were made from."
        )
    pairs = [_preference(by_id[generation.id], generation.response, "model") for generation in generations]
    return [pair for pair in pairs if not is_empty(pair.rejected) and pair.rejected.split() != pair.chosen.split()]


def _preference(prompt: Prompt, rejected: str, kind: str) -> Preference:
    assert prompt.reference is not None
    return Preference(id=prompt.id, prompt=prompt.prompt, chosen=prompt.reference, rejected=rejected, kind=kind)


Pool = Callable[[int, random.Random], Sequence[int]]


def _anyone(count: int) -> Pool:
    return lambda index, rng: [rng.randrange(count) for _ in range(4)]


def _same_first_word(texts: Sequence[str]) -> Pool:
    groups = defaultdict(list)
    for index, text in enumerate(texts):
        groups[text.split()[0].lower()].append(index)
    return lambda index, rng: rng.choices(groups[texts[index].split()[0].lower()], k=4)


def _nearest(vectors_ND: torch.Tensor | None) -> Pool | None:
    """Draw among the NEIGHBOURS nearest prompts, found in blocks of rows to bound the memory."""
    if vectors_ND is None:
        return None
    count = min(NEIGHBOURS + 1, len(vectors_ND))
    near = [(block_BD @ vectors_ND.T).topk(count).indices for block_BD in vectors_ND.split(1024)]
    rows = [row for block in near for row in block.tolist()]
    return lambda index, rng: rng.choices(rows[index], k=4)


def _nearest_in_length(reference: str, candidates: Sequence[str]) -> str | None:
    """The candidate nearest in words that doesn't say the same; the first of equals."""
    same, length = _normal(reference), len(reference.split())
    others = [text for text in candidates if _normal(text) != same]
    return min(others, key=lambda text: abs(len(text.split()) - length), default=None)


def _normal(text: str) -> list[str]:
    return text.lower().rstrip(END_MARKS).split()


def _split_end(text: str) -> tuple[list[str], str]:
    """The words, and the punctuation that ends the text."""
    bare = text.strip().rstrip(END_MARKS)
    return bare.split(), text.strip()[len(bare) :]


def _drop(words: list[str], rng: random.Random) -> list[str]:
    count = max(1, round(len(words) * rng.uniform(0.25, 0.5)))
    gone = set(rng.sample(range(len(words)), count))
    return [word for index, word in enumerate(words) if index not in gone]


def _repeat(words: list[str], rng: random.Random) -> list[str]:
    """Say one to four words two or three times in a row."""
    length = rng.randint(1, min(4, len(words)))
    start = rng.randrange(len(words) - length + 1)
    return words[: start + length] + words[start : start + length] * rng.randint(1, 2) + words[start + length :]


def _shuffle(words: list[str], rng: random.Random) -> list[str]:
    return rng.sample(words, len(words))


def _truncate(words: list[str], rng: random.Random) -> list[str]:
    return words[: max(1, round(len(words) * rng.uniform(0.3, 0.7)))]
