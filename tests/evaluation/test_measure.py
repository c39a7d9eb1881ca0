from __future__ import annotations

from dataclasses import replace

import pytest

from plad.errors import PladError
from plad.evaluation import evaluate_outputs, summarise
from plad.records import EvalRow, Generation, Prompt

PROMPTS = [Prompt("a", "x", "the cat ran away"), Prompt("b", "y", "one two")]
OUTPUTS = [Generation("b", "one two three", finished=False), Generation("a", "the cat sat")]


def rows(*scores: float, words: int = 3) -> list[EvalRow]:
    return [
        EvalRow(
            id=name, response="r", score=score, reference_score=1.0, rouge1=0.5, rouge2=0.25, rougeL=0.5, words=words
        )
        for name, score in zip("ab", scores, strict=True)
    ]


def test_rows_follow_the_prompts_and_join_by_id() -> None:
    first, second = evaluate_outputs(PROMPTS, OUTPUTS, scores=[2.0, 1.0], reference_scores=[10.0, 20.0])
    assert (first.id, first.response, first.score, first.reference_score) == ("a", "the cat sat", 1.0, 10.0)
    assert (first.words, first.finished, second.finished) == (3, True, False)
    assert (second.score, second.reference_score) == (2.0, 20.0)
    assert (first.rouge1, first.rouge2, first.rougeL) == pytest.approx((4 / 7, 2 / 5, 4 / 7))
    # All of 2 reference words among 3: precision 2/3, recall 1.
    assert second.rouge1 == pytest.approx(0.8)


def test_what_does_not_match_is_refused() -> None:
    with pytest.raises(PladError, match="1 are unanswered and 0 answers"):
        evaluate_outputs(PROMPTS, OUTPUTS[:1], [1.0], [1.0, 1.0])
    with pytest.raises(PladError, match="0 are unanswered and 1 answers belong to no prompt, such as 'z'"):
        evaluate_outputs(PROMPTS, [*OUTPUTS, Generation("z", "")], [1.0] * 3, [1.0] * 2)
    with pytest.raises(PladError, match="share an id"):
        evaluate_outputs(PROMPTS, OUTPUTS[:1] * 2, [1.0, 1.0], [1.0, 1.0])
    with pytest.raises(PladError, match="1 for 2 generations and 2 for 2 references"):
        evaluate_outputs(PROMPTS, OUTPUTS, [1.0], [1.0, 1.0])
    with pytest.raises(PladError, match="1 of 2 prompts have none"):
        evaluate_outputs([replace(PROMPTS[0], reference=None), PROMPTS[1]], OUTPUTS, [1.0] * 2, [1.0] * 2)


def test_the_summary_by_hand() -> None:
    models = {"teacher": rows(2, 2), "student": rows(0, 1), "plad": list(reversed(rows(0, 3, words=5)))}
    labels, sizes = {"plad": "PLaD"}, {"teacher": 7, "student": 3, "plad": 3}
    summary = summarise(models, "student", "teacher", labels, sizes, PROMPTS)
    assert list(summary) == ["n", "teacher_student", "rows", "reference_words"]
    assert summary["n"] == 2
    assert summary["teacher_student"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 2}
    assert summary["reference_words"]["value"] == 3
    teacher, student, plad = summary["rows"]
    assert list(plad) == [
        "name", "label", "parameters", "win_rate", "against_initial",
        "rouge1", "rouge2", "rougeL", "words", "finished",
    ]  # fmt: skip
    assert (teacher["label"], plad["label"], plad["parameters"]) == ("teacher", "PLaD", 3)
    # Against references worth 1: the student loses and draws, PLaD loses and wins.
    assert [row["win_rate"]["value"] for row in (teacher, student, plad)] == [1.0, 0.25, 0.5]
    # Paired by id although PLaD's rows are in another order: a draw and a win.
    assert plad["against_initial"]["value"] == 0.75
    assert student["against_initial"] is None
    assert plad["words"] == {"value": 5.0, "low": 5.0, "high": 5.0, "n": 2}
    assert plad["finished"]["value"] == 1


def test_a_summary_needs_the_same_prompts_and_both_models() -> None:
    with pytest.raises(PladError, match="the rows of student must answer each of the 2"):
        summarise({"teacher": rows(1, 1), "student": rows(1, 1)[:1]}, "student", "teacher", {}, {}, PROMPTS)
    with pytest.raises(PladError, match="'student', but there are teacher"):
        summarise({"teacher": rows(1, 1)}, "student", "teacher", {}, {}, PROMPTS)
    with pytest.raises(PladError, match="2 rows for 1 prompts"):
        summarise({"teacher": rows(1, 1)[:1] * 2}, "teacher", "teacher", {}, {}, PROMPTS)
