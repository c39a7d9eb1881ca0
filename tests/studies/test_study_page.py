"""The page of a study: its numbers, its sentence, and that no label can break it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from plad.studies.page import html_page

HOSTILE = '<script>alert(1)</script> & "$x$"'


def share(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.03, "n": 200}


def row(name: str, label: str, win_rate: float, gain: float | None, difference: float | None) -> dict[str, Any]:
    trained = name not in ("teacher", "student")
    return {
        "name": name,
        "label": label,
        **{key: share(0.2) for key in ("rouge1", "rouge2", "rougeL")},
        "words": {"value": 7.5, "low": 7.1, "high": 7.9, "n": 200},
        "win_rate": share(win_rate),
        "win_rate_by_seed": [win_rate, win_rate],
        "against_initial": None if gain is None else share(gain),
        "against_subject": None if difference is None else {**share(difference), "significant": abs(difference) > 0.03},
        "seconds": 40.0 if trained else None,
        "processor": 75.0 if trained else None,
        "scores": {"cosine": {"mean": share(0.4), "win_rate": share(0.3), "against_initial": gain and share(gain)}},
        "calibration": {"pairwise_accuracy": share(0.58), "rank_correlation": share(-0.01)} if gain is None else None,
        "tokens": 1000 if trained else None,
        "generated": 500 if trained else None,
        "flops": 2.5e12 if trained else None,
        "memory": 9e8 if trained else None,
    }


def table(label: str = "Standard KD") -> dict[str, Any]:
    rows = [
        row("teacher", "Teacher", 0.31, 0.82, 0.2),
        row("student", "Initial student", 0.05, None, -0.06),
        row("kd", label, 0.15, 0.71, 0.04),
        row("seqkd", "SeqKD", 0.12, 0.66, 0.01),
        row("plad", "PLaD", 0.11, 0.64, None),
    ]
    return {"seeds": [1, 2], "n": 200, "subject": "plad", "teacher_student": share(0.82), "rows": rows} | {
        "scorer": {"name": "rouge"},
        "scorers": [{"name": "cosine", "description": "how near <b>it</b> is"}],
        "processor": 3000.0,
    }


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_sentence_and_the_numbers() -> None:
    text = html_page(table(), "Table 1: docstrings", "name: x")
    said = Tags(text).text.replace("\u00a0", " ")
    assert "Standard KD gains most over the initial student: it wins on 71.0 % of the prompts (69.0–74.0 %)." in said
    assert "PLaD wins on 64.0 % of the prompts (62.0–67.0 %), the teacher on 82.0 %" in said
    assert "Beyond the interval more often right against the reference than PLaD: Standard KD." in said
    assert "less often" not in said, "SeqKD's difference is within, and the initial student is no method"
    assert "+4.0*" in said
    assert "2.5" in said, "TFLOP"
    assert "Win rate against the human reference" in said
    assert "Win rate against the initial student" in said
    assert text == html_page(table(), "Table 1: docstrings", "name: x")


def test_where_none_gains_the_sentence_says_so() -> None:
    losing = table()
    for each in losing["rows"]:
        if each["against_initial"] and each["name"] != "teacher":
            each["against_initial"] = {**each["against_initial"], "value": each["against_initial"]["value"] - 0.25}
    said = Tags(html_page(losing, "Table 1: docstrings", "name: x")).text.replace("\u00a0", " ")
    assert "No method gains over the initial student: Standard KD, the nearest to it, wins on 46.0 % of the" in said


def test_what_is_wrong_with_a_method_is_said_by_run() -> None:
    warned = table() | {"warnings": [{"run": "seed-2", "told": ["SimPO hardly <i>answers</i>."]}]}
    text = html_page(warned, "Table 1: docstrings", "name: x")
    assert "seed-2SimPO hardly <i>answers</i>." in Tags(text).text
    assert "Warnings" not in Tags(html_page(table(), "Table 1: docstrings", "name: x")).text


def test_no_label_breaks_it_and_nothing_is_fetched() -> None:
    text = html_page(table(HOSTILE), HOSTILE, HOSTILE)
    found = Tags(text)
    assert not {"img", "link", "iframe"} & {*found.tags}
    assert found.tags.count("script") == 1, "that of the themes"
    assert HOSTILE in found.text
    assert found.tags.count("svg") == 4
    assert "default-src 'none'" in text
