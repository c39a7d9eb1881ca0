from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plad.errors import PladError
from plad.evaluation import evaluate_outputs, summarise
from plad.records import EvalRow, Generation, Prompt, read_records
from plad.runs import write_jsonl

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
    assert list(summary) == ["n", "teacher_student", "rows", "comparisons", "warnings", "reference_words", "reference"]
    assert summary["n"] == 2
    assert summary["teacher_student"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 2}
    assert summary["reference_words"]["value"] == 3
    teacher, student, plad = summary["rows"]
    assert list(plad) == [
        "name", "label", "parameters", "win_rate", "against_initial",
        "rouge1", "rouge2", "rougeL", "words", "finished",
        "win_rate_at_equal_length", "against_initial_at_equal_length", "words_change", "by_length",
        "repetition", "shared", "empty", "word_quantiles",
    ]  # fmt: skip
    assert (teacher["label"], plad["label"], plad["parameters"]) == ("teacher", "PLaD", 3)
    # Against references worth 1: the student loses and draws, PLaD loses and wins.
    assert [row["win_rate"]["value"] for row in (teacher, student, plad)] == [1.0, 0.25, 0.5]
    # Paired by id although PLaD's rows are in another order: a draw and a win.
    assert plad["against_initial"]["value"] == 0.75
    assert student["against_initial"] is None
    assert summary["comparisons"] == []  # there is no other method
    assert plad["words_change"]["value"] == 2
    assert student["words_change"] is None
    assert plad["words"] == {"value": 5.0, "low": 5.0, "high": 5.0, "n": 2}
    assert plad["finished"]["value"] == 1


def test_a_summary_needs_the_same_prompts_and_both_models() -> None:
    with pytest.raises(PladError, match="the rows of student must answer each of the 2"):
        summarise({"teacher": rows(1, 1), "student": rows(1, 1)[:1]}, "student", "teacher", {}, {}, PROMPTS)
    with pytest.raises(PladError, match="'student', but there are teacher"):
        summarise({"teacher": rows(1, 1)}, "student", "teacher", {}, {}, PROMPTS)
    with pytest.raises(PladError, match="2 rows for 1 prompts"):
        summarise({"teacher": rows(1, 1)[:1] * 2}, "teacher", "teacher", {}, {}, PROMPTS)


def many(scores: list[float], words: list[int], verdicts: list[float] | None = None) -> list[EvalRow]:
    found = verdicts or [None] * len(scores)
    return [
        EvalRow(str(n), "r", score, 1.0, 0.5, 0.25, 0.5, length, against_initial=verdict)
        for n, (score, length, verdict) in enumerate(zip(scores, words, found, strict=True))
    ]


MANY = [Prompt(str(n), "x", "one two three") for n in range(40)]


def summary_of(**models: list[EvalRow]) -> dict:
    labels = {"plad": "PLaD"}
    return summarise({"teacher": models["student"], **models}, "student", "teacher", labels, {}, MANY)


def test_the_last_method_is_tested_against_the_others() -> None:
    student = many([0.0] * 40, [4] * 40)
    # Against SFT: 20 wins, 10 ties, 10 losses. Against references worth 1: 30 wins against 20.
    sft = many([0.0] * 20 + [2.0] * 20, [4] * 40)
    plad = many([2.0] * 20 + [2.0] * 10 + [1.5] * 10, [4] * 40)
    (told,) = summary_of(student=student, sft=sft, plad=plad)["comparisons"]
    assert (told["name"], told["other"], told["wins"], told["ties"], told["losses"]) == ("plad", "sft", 20, 10, 10)
    assert told["win_rate"]["value"] == 25 / 40
    # 1.5 wins against a reference of 1 too.
    assert told["difference"]["value"] == 40 / 40 - 20 / 40
    assert told["difference_p"] < 1e-3


def test_a_gain_that_goes_with_length_is_warned_of_in_words() -> None:
    student = many([0.0] * 40, [10] * 40)
    longer = summary_of(student=student, plad=many([1.0] * 30 + [-1.0] * 10, [13] * 30 + [10] * 10))
    (warning,) = longer["warnings"]
    assert warning.startswith(
        "PLaD wins against the initial student on 75.0 % of the prompts with outputs 22 % longer (10.0 to 12.2 words)."
    )
    assert "At equal length it would be " in warning
    held = longer["rows"][-1]["against_initial_at_equal_length"]
    # It wins where it is longer and loses where it is not.
    assert held["value"] < 0.5
    shorter = summary_of(student=student, plad=many([1.0] * 40, [8] * 40))
    assert "outputs 20 % shorter" in shorter["warnings"][0]


def test_no_warning_without_a_gain_or_a_change_in_length() -> None:
    student = many([0.0] * 40, [10] * 40)
    assert summary_of(student=student, plad=many([1.0] * 40, [10] * 40))["warnings"] == []
    assert summary_of(student=student, plad=many([-1.0] * 40, [15] * 40))["warnings"] == []
    noisy = [4, 18] * 20
    assert summary_of(student=student, plad=many([1.0] * 40, noisy))["warnings"] == []


def test_a_pairwise_judges_own_verdicts_count_before_scores() -> None:
    student = many([0.0] * 40, [4] * 40)
    plad = many([1.0] * 40, [4] * 40, verdicts=[0.0] * 30 + [0.5] * 6 + [1.0] * 4)
    assert summary_of(student=student, plad=plad)["rows"][-1]["against_initial"]["value"] == 7 / 40


def test_rows_may_stay_in_files_and_in_another_order(tmp_path: Path) -> None:
    models = {"teacher": rows(2, 2), "student": rows(0, 1), "plad": rows(0, 3, words=5)}
    told = summarise(models, "student", "teacher", {}, {}, PROMPTS)
    for turned in (False, True):
        for name, some in models.items():
            write_jsonl(tmp_path / f"{name}.jsonl", reversed(some) if turned else some)
        kept = {name: read_records(tmp_path / f"{name}.jsonl", EvalRow) for name in models}
        assert summarise(kept, "student", "teacher", {}, {}, PROMPTS) == told
