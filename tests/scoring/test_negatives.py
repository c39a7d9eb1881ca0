from __future__ import annotations

from collections import Counter

import pytest
import torch

from plad.errors import PladError
from plad.records import Generation, Prompt
from plad.scoring import negatives

VERBS = ["Return", "Sort", "Count"]
PROMPTS = [
    Prompt(id=str(row), prompt=f"def f{row}(): first second third fourth fifth sixth seventh eighth line {row}",
           reference=f"{VERBS[row % 3]} all of the {row} items in a list.")
    for row in range(60)
]  # fmt: skip


def test_a_mismatched_response_is_the_reference_of_another_prompt() -> None:
    pairs = negatives.mismatched(PROMPTS, seed=0)
    references = {prompt.reference for prompt in PROMPTS}
    assert [pair.id for pair in pairs] == [prompt.id for prompt in PROMPTS]
    assert all(pair.rejected in references and pair.rejected != pair.chosen for pair in pairs)
    assert {pair.kind for pair in pairs} == {"mismatched"}


def test_every_third_shares_the_first_word_and_every_third_is_a_neighbour() -> None:
    vectors = torch.eye(60)
    # Prompt 2 is near 0, 1 and the few after it; topk breaks the other ties, so only the count is tested.
    pairs = negatives.mismatched(PROMPTS, seed=0, prompt_vectors_ND=vectors)
    same_word = [pair.rejected.split()[0] == pair.chosen.split()[0] for pair in pairs]
    assert all(same_word[1::3])
    assert not all(same_word[0::3])


def test_neighbours_are_the_nearest() -> None:
    """On a circle, the nearest are those next to it."""
    angles = torch.arange(60) * 0.1
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    for row, pair in list(enumerate(negatives.mismatched(PROMPTS, 0, vectors)))[2::3]:
        other = int(pair.rejected.split()[4])
        distance = abs(row - other)
        assert 0 < min(distance, 63 - distance) <= 22


def test_the_candidate_nearest_in_length_is_taken() -> None:
    assert negatives._nearest_in_length("one two", ["a b c d", "One two.", "a b c", "x"]) == "a b c"


def test_all_references_alike_is_an_error() -> None:
    same = [Prompt(id=str(row), prompt="x", reference="the same.") for row in range(3)]
    with pytest.raises(PladError, match="all 3 are alike"):
        negatives.mismatched(same, seed=0)


def test_corruptions_keep_the_words_and_are_as_often_longer_as_shorter() -> None:
    pairs = [pair for seed in range(20) for pair in negatives.corrupted(PROMPTS, seed)]
    signs = Counter()
    for pair in pairs:
        chosen, rejected = (text.rstrip(".").split() for text in (pair.chosen, pair.rejected))
        assert set(rejected) <= set(chosen)
        assert pair.rejected != pair.chosen
        signs[(len(rejected) > len(chosen)) - (len(rejected) < len(chosen))] += 1
    assert signs[1] / signs[-1] == pytest.approx(1, abs=0.2)
    assert signs[0] / len(pairs) == pytest.approx(0.2, abs=0.05)
    assert sum(pair.rejected.endswith(".") for pair in pairs) / len(pairs) == pytest.approx(0.9, abs=0.04)


def test_short_references_are_not_corrupted() -> None:
    assert negatives.corrupted([Prompt(id="1", prompt="x", reference="Return it now.")], seed=0) == []


def test_a_copy_is_a_span_of_the_prompt_of_the_same_length() -> None:
    for pair in negatives.copied(PROMPTS, seed=0):
        assert pair.rejected in " ".join(str(pair.prompt).split())
        assert len(pair.rejected.split()) == len(pair.chosen.split())
    assert negatives.copied([Prompt(id="1", prompt="too short", reference="one two three")], seed=0) == []


def test_generations_are_rejected_unless_empty_or_right() -> None:
    answers = [Generation("0", "Adds."), Generation("1", " "), Generation("2", PROMPTS[2].reference or "")]
    pairs = negatives.from_generations(PROMPTS, answers)
    assert [(pair.id, pair.rejected, pair.kind) for pair in pairs] == [("0", "Adds.", "model")]
    with pytest.raises(PladError, match="1 of 1 generations belong to no prompt"):
        negatives.from_generations(PROMPTS, [Generation("stranger", "x")])


def test_equal_seeds_are_equal_and_others_differ() -> None:
    for make in (negatives.mismatched, negatives.corrupted, negatives.copied):
        assert make(PROMPTS, 3) == make(PROMPTS, 3) != make(PROMPTS, 4)


def test_the_kind_survives_a_file_and_a_swap() -> None:
    pair = negatives.mismatched(PROMPTS, 0)[0]
    assert negatives.Preference.from_json(pair.to_json()) == pair
    assert pair.swap().kind == "mismatched"  # type: ignore[attr-defined]
