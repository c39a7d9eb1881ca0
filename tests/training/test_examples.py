"""Rows and records to token ids, and the order of an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import letters

from plad.errors import PladError
from plad.losses import MarginCalibration, NegativeLogLikelihood, RankingCalibration
from plad.models import PromptFormat
from plad.models.prompts import AT_ONCE, Formatter
from plad.records import PreferencePair, Prompt
from plad.training.examples import Examples, LengthGrouped, alike, from_pairs, from_references, from_rows
from plad.training.layout import DecoderLayout, Example

CHAT = "{% for m in messages %}{{ m.role[0] }}{{ m.content }}.{% endfor %}{% if add_generation_prompt %}a{% endif %}"


@pytest.fixture
def formatter() -> Formatter:
    return PromptFormat().bind(letters(chat_template=CHAT))


def spelt(formatter: Formatter, example: Example) -> tuple[str, list[str]]:
    def text(ids: Any) -> str:
        return "".join(formatter.tokenizer.convert_ids_to_tokens(list(ids)))

    return text(example.prompt), [text(response) for response in example.responses]


def test_pairs_keep_the_order_of_preference(formatter: Formatter) -> None:
    pair = PreferencePair("1", "why?", chosen="yes", rejected="no", chosen_score=2.0, rejected_score=1.0)
    ranking, nll, margin = (
        from_pairs([pair], formatter, loss)[0]
        for loss in (RankingCalibration(), NegativeLogLikelihood(), MarginCalibration())
    )
    assert spelt(formatter, ranking) == ("why?", ["yes.", "no."])
    assert spelt(formatter, nll) == ("why?", ["yes."])
    assert (ranking.scores, nll.scores, margin.scores) == (None, None, [2.0, 1.0])


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_a_loss_that_needs_scores_names_the_pair_without(formatter: Formatter, score: float | None) -> None:
    pair = PreferencePair("p7", "x", "a", "b", chosen_score=1.0, rejected_score=score)
    with pytest.raises(PladError, match="p7"):
        from_pairs([pair], formatter, MarginCalibration())
    assert len(from_pairs([pair], formatter, RankingCalibration())) == 1


def test_references_have_one_response(formatter: Formatter) -> None:
    examples = from_references([Prompt("1", "ab", "cd"), Prompt("2", "ef", "")], formatter)
    assert [spelt(formatter, example) for example in examples] == [("ab", ["cd."]), ("ef", ["."])]
    assert examples.tokens == [5, 3]


def test_rows_plain_and_conversational(formatter: Formatter) -> None:
    question = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    rows = [
        {"prompt": "hi", "chosen": "yes", "rejected": "no"},
        {
            "prompt": [*question, {"role": "user", "content": "so?"}],
            "chosen": [{"role": "assistant", "content": "yes"}],
            "rejected": [*question, {"role": "assistant", "content": "no"}],
        },
    ]
    examples = from_rows(rows, formatter, RankingCalibration())
    assert [spelt(formatter, example) for example in examples] == [
        ("hi", ["yes.", "no."]),
        ("uhi.aho.uso?.a", ["yes.", "no."]),
    ]


def test_rows_for_one_response_need_no_rejected(formatter: Formatter) -> None:
    rows = [{"prompt": "hi", "chosen": "yes"}, {"prompt": "hi", "chosen": "yes", "rejected": None}]
    assert len(from_rows(rows, formatter, NegativeLogLikelihood())) == 2


@pytest.mark.parametrize("row", [{"prompt": "a", "chosen": "b"}, {"prompt": "a", "chosen": "b", "rejected": None}])
def test_a_missing_column_is_named_with_its_row(formatter: Formatter, row: dict[str, Any]) -> None:
    whole = {"prompt": "a", "chosen": "b", "rejected": "c"}
    with pytest.raises(PladError, match=r"row 1 has no 'rejected'"):
        from_rows([whole, row], formatter, RankingCalibration())


def test_no_rows_are_refused(formatter: Formatter) -> None:
    with pytest.raises(PladError, match="0 rows"):
        from_rows([], formatter, RankingCalibration())


LENGTHS = [(7 * k) % 101 for k in range(203)]


def test_an_epoch_visits_every_example_once_and_the_short_batch_last() -> None:
    order = list(LengthGrouped(LENGTHS, batch_size=4, seed=1))
    assert sorted(order) == list(range(203))
    batches = [[LENGTHS[k] for k in order[i : i + 4]] for i in range(0, 200, 4)]
    assert sum(max(batch) - min(batch) for batch in batches) / 50 < 5, "a shuffle would have about 60"
    assert [sorted(batch)[0] for batch in batches] != sorted(sorted(batch)[0] for batch in batches), "batches in order"


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = LengthGrouped(LENGTHS, batch_size=4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_fewer_examples_than_a_batch() -> None:
    assert sorted(LengthGrouped([3, 1, 2], batch_size=8, seed=0)) == [0, 1, 2]


def test_examples_are_a_dataset() -> None:
    examples = Examples([Example([1], [[2]]), Example([1, 2], [[2], [3, 4]])])
    assert (len(examples), examples.tokens, examples[1].prompt) == (2, [2, 5], [1, 2])


def test_weights_of_pairs_reach_the_batch() -> None:
    pairs = [PreferencePair("a", "x", "yes", "no", weight=0.5), PreferencePair("a", "x", "yes", "nay")]
    pairs.append(PreferencePair("b", "y", "yes", "no"))
    examples = list(from_pairs(pairs, PromptFormat().bind(letters()), RankingCalibration()))
    assert [example.weights for example in examples] == [[1.0, 0.5, 1.0], None]
    assert DecoderLayout(0)(examples)["weights"].tolist() == [[1.0, 0.5, 1.0], [1.0, 1.0, 1.0]]
    assert "weights" not in DecoderLayout(0)(examples[1:])


def test_scores_have_the_gaps_that_the_loss_takes() -> None:
    formatter = PromptFormat().bind(letters())
    pairs = [PreferencePair("a", "x", "yes", "no", 5.0, 4.0), PreferencePair("a", "x", "yes", "nay", 5.0, 1.0)]
    pairs.append(PreferencePair("b", "y", "yes", "no", 0.0, 2.0))
    plain = from_pairs(pairs, formatter, MarginCalibration())
    assert [example.scores for example in plain] == [[5.0, 4.0, 1.0], [0.0, 2.0]]
    # Gaps of 1, 4 and −2: the median size is 2.
    scaled = from_pairs(pairs, formatter, MarginCalibration(scale="median"))
    assert [example.scores for example in scaled] == [[0.0, -0.5, -2.0], [0.0, 1.0]]


def test_examples_are_tokenised_together_as_they_would_be_alone(formatter: Formatter, tmp_path: Path) -> None:
    pairs = [
        PreferencePair(str(k // 2), "why? " * (k // 2 % 5 + 1), chosen="yes" * (k // 2 % 3 + 1), rejected="no" * k)
        for k in range(3 * AT_ONCE)
    ]
    whole = from_pairs(pairs, formatter, RankingCalibration(), tmp_path / "pairs.jsonl")
    assert len(list(alike(pairs))) == len(whole) == 3 * AT_ONCE // 2
    apart = [from_pairs(some, formatter, RankingCalibration())[0] for some in alike(pairs)]
    assert list(whole) == apart
    assert list(whole.tokens) == [example.tokens for example in apart]
