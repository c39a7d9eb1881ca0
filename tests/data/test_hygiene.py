"""The filters of a teacher's answers, each on texts whose numbers are counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from plad.data import Hygiene, make_pairs
from plad.data.hygiene import copied_share, is_refusal, repeated_share
from plad.records import Generation, Prompt

PROMPT = Prompt("p", "the quick brown fox sees a lazy dog by the river")


def reason(answer: str, **filters: Any) -> str | None:
    return Hygiene(**filters).reasons([PROMPT], {"p": Generation("p", answer)}).get("p")


def test_all_filters_are_off_by_default() -> None:
    for answer in ("I'm sorry, but I can't", PROMPT.text, "na na na na na na", "x"):
        assert reason(answer) is None


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I’m sorry, I can’t do that", True),
        ("Unfortunately, I am unable to answer.", True),
        ("As an AI language model, I have no opinion.", True),
        ("Sorry, but I cannot.", True),
        ("A library that can't fail", False),
        ("Sorry sight of a model", False),
        ("Tools that say in the end, after a long while and many words about the matter, that I cannot.", False),
    ],
)
def test_refusals(answer: str, refused: bool) -> None:
    assert is_refusal(Generation("p", answer)) is refused
    assert reason(answer, refusal=True) == ("refusal_teacher" if refused else None)


def test_copied_share() -> None:
    # Runs of four: "the quick brown fox" is there, "quick brown fox jumps" and "brown fox jumps high" are not.
    assert copied_share("The quick brown fox jumps high", PROMPT.text) == pytest.approx(1 / 3)
    assert copied_share("A LAZY dog, by the river!", PROMPT.text) == 1
    assert copied_share("lazy dog", PROMPT.text) == 1
    assert copied_share("dog lazy", PROMPT.text) == 0
    assert copied_share("…", PROMPT.text) == 0
    assert reason("A lazy dog by the river", copy_of_prompt=0.9) == "copy_teacher"
    assert reason("The quick brown fox jumps high", copy_of_prompt=0.9) is None


def test_repeated_share() -> None:
    # Runs of three of "a b a b a b": aba bab aba bab, of which two stood before.
    assert repeated_share("a b a b a b") == 0.5
    assert repeated_share("one two three four") == 0
    assert repeated_share("one two") == 0
    assert reason("a b a b a b", repetition=0.5) == "repetitive_teacher"
    assert reason("a b a b a b", repetition=0.51) is None


def test_language() -> None:
    pytest.importorskip("py3langid")
    assert reason("Eine Sammlung von Werkzeugen für die Arbeit mit Bildern", language="en") == "language_teacher"
    assert reason("Eine Sammlung von Werkzeugen für die Arbeit mit Bildern", language="de") is None
    assert reason("a collection of tools for working with images", language="en") is None


def test_the_length_band_includes_its_ends() -> None:
    band = {"min_words": 2, "max_words": 3}
    assert [reason(answer, **band) for answer in ("a", "a b", "a b c", "a b c d")] == [
        "short_teacher",
        None,
        None,
        "long_teacher",
    ]


def test_of_duplicates_the_first_stays() -> None:
    prompts = [Prompt(name, f"prompt {name}") for name in "abcd"]
    answers = dict(zip("abcd", ("Same  answer", "same answer", "another", "same answer"), strict=True))
    found = Hygiene(duplicates=True).reasons(prompts, {name: Generation(name, text) for name, text in answers.items()})
    assert found == {"b": "duplicate_teacher", "d": "duplicate_teacher"}


def test_pairs_count_what_the_filters_left_out() -> None:
    prompts = [Prompt(name, f"prompt {name}") for name in "abcde"]
    good = [
        Generation("a", "a proper answer"),
        Generation("b", "I cannot answer"),
        Generation("c", "", refusal="policy"),
        Generation("d", "", finished=False, failure="500"),
        Generation("e", "cut of", finished=False),
    ]
    bad = [Generation(name, "another") for name in "abcde"]
    result = make_pairs(prompts, good, bad, Hygiene(refusal=True))
    assert [pair.id for pair in result.pairs] == ["a"]
    counts = {reason: count for reason, count in result.dropped.items() if count}
    assert counts == {"refusal_teacher": 2, "failed_teacher": 1, "truncated_teacher": 1}
