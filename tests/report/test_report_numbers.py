"""Numbers as they are written, and the curves behind the charts."""

import io
import math

import pytest
from made_run import estimate, results
from rich.console import Console

from plad.report import markdown_table, terminal_table
from plad.report.curves import points_of, running_mean, thinned
from plad.report.numbers import duration, interval, parameters, percent
from plad.report.table import table_rows
from plad.report.verdict import NOT_YET, support, trust, verdict


def _against(value: float, half: float) -> dict:
    return {"rows": [{"name": "plad", "label": "PLaD", "against_initial": estimate(value, half)}]}


def test_verdict_claims_a_win_when_the_interval_is_above_half():
    assert verdict(results()) == (
        "The PLaD student beats the initial student on 61.2 % of 500 test prompts (95 % interval 57.0 to 65.4 %)."
    )


@pytest.mark.parametrize(("value", "half"), [(0.52, 0.04), (0.54, 0.04), (0.46, 0.04)])
def test_verdict_claims_nothing_when_the_interval_reaches_half(value, half):
    assert verdict(_against(value, half)).startswith("No difference could be shown")


def test_verdict_admits_a_loss():
    assert "does worse" in verdict(_against(0.41, 0.04))
    assert "only 41.0 % of 500 test prompts (95 % interval 37.0 to 45.0 %)" in verdict(_against(0.41, 0.04))


def test_verdict_without_interval_or_evaluation():
    bare = {"rows": [{"name": "plad", "against_initial": {"value": 0.7, "n": 5}}]}
    assert "no interval was computed" in verdict(bare)
    assert verdict(None) == verdict({}) == NOT_YET


def test_verdict_names_another_method_by_its_label():
    rows = [{"name": "dpo", "label": "DPO", "against_initial": estimate(0.6)}]
    assert verdict({"rows": rows}).startswith("The student “DPO” beats")


def test_support_puts_the_win_rate_beside_the_teachers():
    said = " ".join(support(results()))
    assert "from 31.0 % to 38.4 %" in said
    assert "72.0 % (95 % interval 68.0 to 76.0 %)" in said
    assert "93.0 % (mismatched), 71.4 % (word dropped)" in trust(results())


def test_best_student_is_bold_and_the_teacher_never():
    rows = {row.name: {cell.head: cell for cell in row.cells} for row in table_rows(results())}
    assert rows["plad"]["Wins vs. reference, %"].best
    assert rows["seqkd"]["ROUGE-1, %"].best
    assert rows["seqkd"]["ROUGE-1, %"].interval == "36.1–38.1"
    assert not any(cell.best for cell in rows["teacher"].values())
    # Longer is not better.
    assert not any(row["Words"].best for row in rows.values())


def test_students_that_read_the_same_are_both_best():
    rows = [{"name": name, "rouge1": estimate(value)} for name, value in (("sft", 0.3001), ("plad", 0.3004))]
    assert [row.cells[0].best for row in table_rows({"rows": rows})] == [True, True]


def test_markdown_table_line():
    line = markdown_table(results()).splitlines()[-1]
    assert line.startswith("| PLaD | 1.3 M | **38.4** (34.4–42.4) | **61.2** (57.0–65.4) | 36.2 (35.2–37.2) |")


def test_terminal_table_shows_values_and_takes_labels_as_text():
    content = results()
    content["rows"][4]["label"] = "[red]PLaD"
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(terminal_table(content))
    text = console.export_text()
    assert "[red]PLaD" in text
    assert "61.2" in text
    assert "57.0–65.4" in text


def test_tables_of_nothing():
    assert terminal_table({"rows": []}).row_count == 0
    assert markdown_table({}).count("\n") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.2, "4.2 s"), (42, "42 s"), (59.7, "1 min 00 s"), (605, "10 min 05 s"), (7620, "2 h 07 min"), (None, "–")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(6_100_000, "6.1 M"), (1.3e9, "1.3 B"), (999_999, "1.0 M"), (12, "12"), (None, "–")]
)
def test_parameters(number, text):
    assert parameters(number) == text


def test_shares_are_percent_with_one_decimal():
    assert percent(0.612) == "61.2"
    assert percent(-0.0001) == "0.0"
    assert interval({"value": 0.5}) == ""
    assert interval({"value": 9.0, "low": 8.5, "high": 9.5}, share=False) == "8.5–9.5"


def test_points_leave_out_what_cannot_be_drawn():
    rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": math.nan}, {"step": 3, "eval_loss": 1.0}, {"loss": 1.0}]
    assert points_of(rows, "loss") == [(1, 2.0)]


def test_thinned_keeps_both_ends():
    points = [(step, float(step)) for step in range(101)]
    assert thinned(points, 5) == [(0, 0.0), (25, 25.0), (50, 50.0), (75, 75.0), (100, 100.0)]


def test_running_mean_is_shorter_at_the_ends():
    # A window of one point to each side.
    assert running_mean([0.0, 3.0, 6.0, 3.0]) == [1.5, 3.0, 4.0, 4.5]


def test_the_length_control_is_not_told_as_the_judges_own_accuracy() -> None:
    accuracy = [{"kind": "corrupted", "value": 0.9}, {"kind": "length control", "value": 0.5}]
    told = trust({"scorer": {"name": "judge", "accuracy": accuracy}})
    assert told == (
        "Wins are judged by judge, itself right on 90.0 % (corrupted) of held-out pairs; "
        "a rule that looks at length alone on 50.0 %."
    )
