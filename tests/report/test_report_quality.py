"""What the report says beside the win rates: paired tests, other scorers, length, the judge's doubts, calibration."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from made_run import estimate, results, write
from rich.console import Console

from plad.report import terminal_table, write_report
from plad.report.quality import calibration_verdict, p_value, points
from plad.report.read import read_run
from plad.report.verdict import trust

WARNING = "PLaD wins with outputs 25 % longer."


def extended() -> dict:
    """results() with what a run of several scorers and a pairwise judge adds."""
    found = results()
    found["rows"][4] |= {
        "against_initial_at_equal_length": estimate(0.551, 0.05),
        "by_length": [
            {"from": 1, "to": 6, "win_rate": estimate(0.48, 0.1, 250)},
            {"from": 7, "to": 30, "win_rate": estimate(0.744, 0.1, 250)},
        ],
    }
    counts = {"wins": 260, "ties": 30, "losses": 210, "p": 0.0236}
    compared = {"name": "plad", "other": "seqkd", "win_rate": estimate(0.55), **counts}
    found["comparisons"] = [{**compared, "difference": estimate(0.032, 0.04), "difference_p": 0.0004}]
    found["warnings"] = [WARNING]
    found["scorer"] |= {"inconsistent": estimate(0.231, 0.02, 900), "unreadable": estimate(0.01, 0.005, 900)}
    length = [{"name": "student", "against_initial": None}, {"name": "plad", "against_initial": estimate(0.687)}]
    for row in found["rows"]:
        row |= outputs(0.02, 0.05)
    found["reference"] = outputs(0.01, 0.03)
    agree = {"pairwise": estimate(0.58, 0.01, 4000), "spearman": estimate(-0.17, 0.02, 490)}
    found["scorers"] = [{"name": "length", "description": "words", "rows": length, "agreement": agree}]
    return found


def outputs(repetition: float, shared: float) -> dict:
    """What is measured of outputs beside their quality."""
    words = {"word_quantiles": [4.0, 6.0, 7.0, 9.0, 12.0]}
    shares = {"repetition": repetition, "shared": shared, "empty": 0.0}
    return {**{name: estimate(share, 0.01) for name, share in shares.items()}, **words}


def calibrated(change: float) -> dict:
    def row(name: str, value: float) -> dict:
        curve = [estimate(0.5 + step * (value - 0.5), 0.03, 64) for step in (-1, 0, 1)]
        return {"name": name, "rank_correlation": estimate(0.2), "pairwise_accuracy": estimate(value), "curve": curve}

    rows = [row("student", 0.55), row("plad", 0.55 + change)]
    changes = {"rank_correlation": estimate(-0.05, 0.1), "pairwise_accuracy": estimate(change, 0.03)}
    return {"prompts": 64, "samples": 3, "scorer": "rouge", "rows": rows, "change": changes}


@pytest.fixture
def full(run: Path) -> Path:
    """A run with all of it."""
    write(run / "evaluation/results.json", extended())
    write(run / "evaluation/calibration.json", calibrated(0.08))
    return run


def pages(run: Path) -> tuple[str, str]:
    page, text = write_report(run)
    return page.read_text(encoding="utf-8").replace("\u00a0", " "), text.read_text(encoding="utf-8")


def test_paired_tests_are_in_both_pages(full: Path) -> None:
    for text in pages(full):
        assert "PLaD against SeqKD" in text
        assert "260 wins, 30 ties, 210 losses; sign test p = 0.024" in text.replace("\\", "")
        assert "+3.2 points (95 % interval −0.8 to 7.2); permutation test p" in text


def test_every_scorers_verdict_stands_beside_the_judges(full: Path) -> None:
    html, text = pages(full)
    assert 'id="chart-scorers-title"' in html
    said = "embedding (the judge) 61.2 % (57.0–65.4); at equal length 55.1 % (50.1–60.1); length (control) 68.7 %"
    assert said in html
    assert "| length | 68.7 (64.7–72.7) |" in text
    assert "the same answer of two is better on 58.0 % (95 % interval 57.0 to 59.0 %)" in text
    assert "| Rank correlation of the answers to a prompt | −0.17 · −0.19–−0.15 |" in text


def test_wins_by_length_are_drawn(full: Path) -> None:
    html, _ = pages(full)
    assert "1–6 words 48.0 % (38.0–58.0); 7–30 words 74.4 %" in html


def test_length_warnings_come_after_the_table_and_are_counted_above_it(full: Path) -> None:
    html, text = pages(full)
    assert '<a href="#warnings">1 warning</a>' in html[: html.index("<main")]
    assert html.index('id="results"') < html.index(WARNING) < html.index('id="cost"')
    assert f"- {WARNING}" in text


def test_the_judges_doubts_are_said(full: Path) -> None:
    said = trust(json.loads((full / "evaluation/results.json").read_text()))
    assert "The order of the answers decided 23.1 % (95 % interval 21.1 to 25.1 %)" in said
    html, text = pages(full)
    assert "Verdicts that hung on the order (counted as ties)" in html
    assert "23.1 % · 21.1–25.1 · n = 900" in text


def test_what_is_wrong_with_outputs_stands_beside_the_references(full: Path) -> None:
    html, text = pages(full)
    assert "Human reference 7 (4 to 12)" in html
    # 99.6 % were finished, with an interval of ±0.4.
    assert "| PLaD | 0.4 (0.0–0.8) | 0.0 (-1.0–1.0) | 2.0 (1.0–3.0) | 5.0 (4.0–6.0) |" in text
    assert "| Human reference | – | 0.0 (-1.0–1.0) | 1.0 (0.0–2.0) | 3.0 (2.0–4.0) |" in text


def test_the_terminal_warns_too() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(terminal_table(extended()))
    assert WARNING in console.export_text()


def test_equal_length_is_a_column_where_it_is_known(full: Path, run: Path) -> None:
    assert "| At equal length, % |" in pages(full)[1]
    write(run / "evaluation/results.json", results())
    assert "At equal length" not in pages(run)[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            0.08,
            "tracks the scorer's quality better, by +8.0 points (95 % interval 5.0 to 11.0) (3 samples to",
        ),
        (-0.08, "tracks the scorer's quality worse, by −8.0 points (95 % interval −11.0 to −5.0)"),
        (0.02, "No change could be shown in how well the likelihood tracks the scorer's quality: by +2.0 points"),
    ],
)
def test_the_verdict_on_calibration_claims_no_more_than_its_interval(run: Path, change: float, said: str) -> None:
    write(run / "evaluation/calibration.json", calibrated(change))
    assert said in calibration_verdict(read_run(run))
    assert said in pages(run)[1].replace("\\", "")


def test_calibration_is_drawn_with_its_numbers(full: Path) -> None:
    html, text = pages(full)
    assert "PLaD from 37.0 % to 63.0 %" in html
    assert "| Better sample is likelier: PLaD | 63.0 % · 59.0–67.0 · n = 500 |" in text
    assert "| Change: rank correlation | −0.05 (95 % interval −0.15 to 0.05) |" in text


def test_undefined_numbers_leave_gaps_and_no_error(run: Path) -> None:
    nothing = {"rank_correlation": None, "pairwise_accuracy": None}
    content = calibrated(0.1) | {"change": nothing}
    content["rows"] = [row | nothing for row in content["rows"]]
    write(run / "evaluation/calibration.json", content)
    found = results() | {"scorers": [{"name": "length", "rows": [], "agreement": {"pairwise": None, "spearman": None}}]}
    write(run / "evaluation/results.json", found)
    html, _ = pages(run)
    assert 'id="chart-calibration-title"' in html


def test_how_p_values_and_differences_are_written() -> None:
    assert [p_value(p) for p in (0.00099, 0.0236, 1.0)] == ["p < 0.001", "p = 0.024", "p = 1.000"]
    assert points(estimate(-0.01, 0.02)) == "−1.0 points (95 % interval −3.0 to 1.0)"
