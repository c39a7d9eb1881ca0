import random
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plad.data.duplicates import jaccard, shingles
from plad.data.source import example
from plad.data.splits import NAMES, SplitData, Splits, split
from plad.errors import PladError
from plad.records import Prompt

EVEN = Splits(train=0.25, distill=0.25, validation=0.25, test=0.25)


def numbered(count, start=0):
    """Prompts that share no run of three tokens."""
    names = ("".join(chr(97 + int(digit)) for digit in str(number)) for number in range(start, start + count))
    return [example(f"x{name} y{name} z{name}", f"reference {name}") for name in names]


def ids(data: SplitData):
    return {name: [prompt.id for prompt in getattr(data, name)] for name in NAMES}


def test_fractions_are_kept_on_average():
    data = split(numbered(4000), Splits(), 0)
    # Binomial: the standard deviation of the share of 4,000 is below 0.8 %.
    for name, share in zip(NAMES, (0.45, 0.45, 0.03, 0.07), strict=True):
        assert len(getattr(data, name)) / 4000 == pytest.approx(share, abs=0.032)
    assert sum(data.counts[name] for name in NAMES) == data.counts["read"] == 4000


def test_only_distillation_loses_its_references():
    data = split(numbered(100), EVEN, 0)
    assert {prompt.reference for prompt in data.distill} == {None}
    assert all(prompt.reference for name in ("train", "validation", "test") for prompt in getattr(data, name))


def test_new_data_moves_no_prompt():
    old, new = split(numbered(100), EVEN, 3), split(numbered(400), EVEN, 3)
    for name in NAMES:
        assert set(ids(old)[name]) <= set(ids(new)[name])


def test_the_seed_decides():
    assert ids(split(numbered(100), EVEN, 0)) == ids(split(numbered(100), EVEN, 0))
    assert ids(split(numbered(100), EVEN, 0)) != ids(split(numbered(100), EVEN, 1))


def test_caps_keep_the_lowest_hashes():
    free = split(numbered(200), EVEN, 0)
    capped = split(numbered(200), EVEN.model_copy(update={"max_train": 5, "max_test": 10_000}), 0)
    assert ids(capped)["train"] == ids(free)["train"][:5]
    assert ids(capped)["test"] == ids(free)["test"]
    assert capped.counts["over_cap"] == free.counts["train"] - 5


def test_duplicates_are_counted_and_removed():
    base = numbered(60)
    text = "a b c d e f g h"
    exact = [Prompt("1", text), Prompt("2", "a b  c d e f g h", "has a reference")]
    near = [Prompt("3", "a b c d e f g i", "near")]
    data = split([*base, *exact, *near], EVEN, 0)
    assert (data.counts["read"], data.counts["exact_duplicates"], data.counts["near_duplicates"]) == (63, 1, 1)
    kept = {prompt.id for name in NAMES for prompt in getattr(data, name)} - {prompt.id for prompt in base}
    assert kept in ({"2"}, {"3"})  # of the exact duplicates, the one with a reference stands
    everything = split([*base, *exact, *near], EVEN.model_copy(update={"near_duplicates": None}), 0)
    assert everything.counts["near_duplicates"] == 0
    assert {"2", "3"} <= {prompt.id for name in NAMES for prompt in getattr(everything, name)}


WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, max_size=25), st.randoms(use_true_random=False), st.integers(0, 9))
def test_order_plays_no_role_and_splits_share_no_near_duplicate(texts, rng, seed):
    prompts = numbered(60) + [example(text, None) for text in texts]
    shuffled = random.Random(rng.random()).sample(prompts, len(prompts))
    data = split(prompts, EVEN, seed)
    assert data == split(shuffled, EVEN, seed)
    kept = [prompt for name in NAMES for prompt in getattr(data, name)]
    assert len({prompt.id for prompt in kept}) == len(kept)
    assert data.counts["read"] == len(kept) + data.counts["exact_duplicates"] + data.counts["near_duplicates"]
    sets = [shingles(prompt.text) for prompt in kept]
    assert all(jaccard(a, b) < 0.7 for i, a in enumerate(sets) for b in sets[:i])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "the source gave none"),
        (numbered(1), "have none: 1 of 1 examples"),
        (numbered(1) * 50, "have none: 1 of 50 examples"),
        ([Prompt("same", text) for text in ("a", "b")], "'same' names two different prompts"),
    ],
)
def test_too_little_data(prompts, message):
    with pytest.raises(PladError, match=message):
        split(prompts, Splits(), 0)


def test_the_empty_split_is_named():
    tiny = Splits(train=0.4, distill=0.4, validation=0.199999, test=0.000001)
    with pytest.raises(PladError, match="but test has none: 200 of 200"):
        split(numbered(200), tiny, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"train": 0.5},
        {"train": 0.0, "distill": 0.9},
        {"train": -0.1, "distill": 1.0},
        {"max_train": 0},
        {"near_duplicates": 0.0},
        {"near_duplicates": 1.5},
        {"near_duplicates": float("nan")},
        {"test": float("nan")},
        {"tset": 0.1},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(ValidationError):
        Splits(**settings)


def test_counts_name_every_split():
    assert {field.name for field in fields(SplitData)} == {*NAMES, "counts"}


@pytest.mark.slow
def test_of_twenty_thousand_unlike_prompts_none_is_dropped():
    rng = random.Random(0)
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}" for i in range(676)]
    prompts = [example(" ".join(rng.choices(words, k=60)), None) for _ in range(20_000)]
    parts = split(prompts, Splits(), 0)
    assert sorted(prompt.id for name in NAMES for prompt in getattr(parts, name)) == sorted(p.id for p in prompts)
