"""Prompts on disk while they are divided."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from plad.data.duplicates import groups, jaccard, shingles
from plad.data.shelf import shelf
from plad.data.source import example
from plad.data.splits import Splits, divided, split
from plad.records import Prompt


def test_the_better_of_two_equal_texts_stays_whichever_comes_first() -> None:
    bare, told, less = Prompt("1", "a b"), Prompt("2", "a  b", "yes"), Prompt("3", "a b ", "aye")
    for some in ((bare, told, less), (less, told, bare), (told, bare, less)):
        with shelf() as kept:
            for prompt in some:
                kept.add(prompt, 0, 0.5, 0.5)
            assert (kept.put, len(kept), list(kept.of(0, None))) == (3, 1, [less])


def test_a_split_is_in_the_order_of_its_ranks_and_ends_at_its_cap() -> None:
    with shelf() as kept:
        for name, part, place in (("c", 1, 0.9), ("a", 1, 0.1), ("b", 0, 0.2), ("d", 1, 0.5)):
            kept.add(Prompt(name, name), part, place, 0.0)
        assert [prompt.id for prompt in kept.of(1, None)] == ["a", "d", "c"]
        assert [prompt.id for prompt in kept.of(1, 2)] == ["a", "d"]
        assert (kept.count(0), kept.count(1), kept.repeated_id()) == (1, 3, None)
        kept.add(Prompt("a", "another text"), 0, 0.3, 0.0)
        assert kept.repeated_id() == "a"


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    prompts = list(made(60))
    even = Splits(train=0.25, distill=0.25, validation=0.25, test=0.25)
    with divided(iter(prompts), even, 1, tmp_path) as division:
        assert list(tmp_path.iterdir())
        found = {name: tuple(division.of(name)) for name in ("train", "distill")}
    assert list(tmp_path.iterdir()) == []
    whole = split(prompts, even, 1)
    assert found == {"train": whole.train, "distill": whole.distill}
    assert {prompt.reference for prompt in whole.distill} == {None}


@pytest.mark.parametrize("threshold", [0.4, 0.7])
def test_groups_are_the_components_of_all_similar_pairs(threshold: float) -> None:
    rng = random.Random(3)
    # Windows of five sequences of words that share none: neighbouring windows overlap, by more or by less.
    words = [[f"{letter}{chr(97 + k)}" for k in range(24)] for letter in "abcde"]
    starts = [(rng.choice(words), rng.randrange(0, 12, 3)) for _ in range(60)]
    texts = [" ".join(some[k : k + rng.randint(8, 12)]) for some, k in starts]
    sets = [shingles(text) for text in texts]
    # Independent: a group spreads from each text along pairs that are similar enough, all pairs compared.
    expected = list(range(len(texts)))
    for start in range(len(texts)):
        reached, edge = {start}, [start]
        while edge:
            here = edge.pop()
            near = {k for k in range(len(texts)) if jaccard(sets[here], sets[k]) >= threshold} - reached
            reached |= near
            edge += near
        expected[start] = min(reached)
    assert 5 < len(set(expected)) < len(set(texts))
    assert groups(iter(texts), threshold).tolist() == expected


def made(count: int) -> Iterator[Prompt]:
    """Prompts of about 400 bytes that share no run of three words."""
    for number in range(count):
        name = "".join(chr(97 + int(digit)) for digit in str(number))
        yield example(" ".join(f"{letter}{name}" for letter in "abcdefghijklmnopqrstuvwxyz"), f"reference {name}")


def peak(count: int, folder: Path) -> int:
    """The most bytes that dividing so many prompts holds at once."""
    tracemalloc.start()
    try:
        with divided(made(count), Splits(), 0, folder) as division:
            assert sum(1 for _ in division.of("train")) == division.counts["train"]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text_of_the_prompts(tmp_path: Path) -> None:
    peak(1_000, tmp_path)  # what is loaded once
    small, large = peak(2_000, tmp_path), peak(8_000, tmp_path)
    # The promise is some 60 bytes a prompt, where the prompts themselves have above a thousand in memory.
    assert (large - small) / 6_000 < 150
