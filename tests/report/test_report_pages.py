"""The two files of a report: what they say, that they stay equal, and that no run's content can break them."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_run import MODELS, answer, lines, make_run, write

from plad.errors import PladError
from plad.records import EvalRow
from plad.report import write_report
from plad.report.read import ById
from plad.runs import write_jsonl

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp; ``` \u2028\u2029 $x$ <!--'
SECTIONS = ("results", "cost", "win-rates", "training", "pairs", "data", "scorer", "examples", "recipe", "citation")


class Page(HTMLParser):
    """The tags and the text of a page, as a browser splits them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.sections: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.sections += [found["id"]] if tag == "section" else []
        self.inside = tag

    def handle_data(self, data):
        if self.inside == "script" and data.strip():
            self.scripts.append(data)

    def handle_endtag(self, tag):
        self.inside = ""


def _pages(run: Path) -> tuple[str, str]:
    page, text = write_report(run)
    assert (page, text) == (run / "report.html", run / "report.md")
    return page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")


def _data(html: str) -> dict:
    return json.loads(Page(html).scripts[1])


def test_finished_run_has_every_section_and_number(run):
    html, text = _pages(run)
    assert tuple(Page(html).sections) == SECTIONS
    verdict = "The PLaD student beats the initial student on 61.2 % of 500 test prompts"
    assert verdict in html.replace("\u00a0", " ")
    assert verdict in text
    assert "<strong>61.2</strong><small>57.0–65.4</small>" in html
    # 4.2 + 1800 + 605 + 420 + 3 + 900 s = 62.2 minutes.
    assert "<dt>Time</dt><dd>1 h 02 min</dd>" in html
    assert "2406.02886" in html
    assert "2406.02886" in text
    assert "margin: 1.0" in html


def test_pair_statistics(run):
    _, text = _pages(run)
    assert "| Pairs made | 85 · 85.0 % of the prompts |" in text
    assert "| Words, preferred (mean) | 4.0 |" in text
    # Gaps of 0.4, 0.2, 0 and -0.2.
    assert "| Score gap (mean) | 0.100 |" in text
    assert "| Scorer agrees with the preference | 50.0 % · of 4 scored pairs |" in text
    assert text.index("| identical | 12 |") < text.index("| empty student | 3 |")


def test_markdown_shows_five_examples_at_even_distances(run):
    _, text = _pages(run)
    assert re.findall(r"^### (.*)$", text, re.M) == ["p0", "p2", "p4", "p6", "p8"]


def test_examples_are_joined_by_prompt(run):
    data = _data(_pages(run)[0])
    assert [model["name"] for model in data["models"]] == list(MODELS)
    assert [row["gain"] for row in data["rows"][:4]] == [0.4, 0.2, 0.0, -0.3]
    assert data["rows"][3]["answers"]["plad"][1] == 0.2
    assert data["rows"][0]["referenceScore"] == 0.8


def test_hostile_content_stays_text(run):
    clean = Page(_pages(run)[0])
    for name in ("student", "plad"):
        rows = [answer(name, place, id=HOSTILE, response=HOSTILE) for place in range(1)]
        lines(run / f"evaluation/{name}.jsonl", rows)
    lines(run / "data/test.jsonl", [{"id": HOSTILE, "prompt": HOSTILE, "reference": HOSTILE}])
    content = json.loads((run / "evaluation/results.json").read_text(encoding="utf-8"))
    content["rows"][4]["label"] = content["task"] = content["scorer"]["name"] = HOSTILE
    content["scorer"]["accuracy"][0]["kind"] = HOSTILE
    write(run / "evaluation/results.json", content)
    write(run / "recipe.yaml", HOSTILE)
    write(run / "pairs.json", {"prompts": 1, "made": 0, "dropped": {HOSTILE: 1}})
    html, text = _pages(run)
    page = Page(html)
    assert page.tags.count("script") == clean.tags.count("script") == 3
    assert "img" not in page.tags
    assert _data(html)["rows"][0]["answers"]["plad"][0] == HOSTILE
    assert "<script>alert" not in html
    assert "\u2028" not in page.scripts[0]
    # Inside a block whose fence is longer than the backticks in it.
    assert f"````\n{HOSTILE}\n````" in text


def test_page_is_self_contained_and_never_writes_markup(run):
    html, _ = _pages(run)
    own = r"#|data:text/csv|data:application/json|https://arxiv\.org/abs/2406\.02886\""
    assert not re.search(rf'(?:src|href)="(?!{own})', html)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    script = " ".join([Page(html).scripts[0], Page(html).scripts[2]])
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def test_what_is_saved_is_the_whole_of_what_is_shown(run):
    html, _ = _pages(run)
    saved = dict(re.findall(r'href="data:[^,]*base64,([^"]*)" download="([^"]*)"', html))
    files = {name: base64.b64decode(content).decode() for content, name in saved.items()}
    assert json.loads(files["results.json"]) == json.loads((run / "evaluation/results.json").read_text())
    margin = list(csv.reader(io.StringIO(files["margin-preferred-minus-rejected-log-likelihood.csv"])))
    assert margin[0] == ["", "Step", "Value"]
    # All 80 that were logged, where the table shows 12.
    assert len(margin) == 81
    assert files["results.csv"].splitlines()[-1].startswith("PLaD,38.4,34.4–42.4,61.2,57.0–65.4,")


def test_the_contents_name_every_section(run):
    html, _ = _pages(run)
    assert re.findall(r'<li><a href="#([\w-]+)">', html[: html.index("<main")]) == list(SECTIONS)


def test_ids_are_unique_and_charts_point_at_their_own(run):
    html, _ = _pages(run)
    ids = Page(html).ids
    assert len(ids) == len(set(ids))
    charts = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(charts) == 9
    for chart in charts:
        assert 'role="img"' in chart
        assert "<title " in chart
        assert "<desc " in chart
        assert set(re.findall(r"(?:url\(|href=\")#([^\")]+)", chart)) <= set(Page(chart).ids)


def test_equal_runs_give_equal_reports(tmp_path):
    first, second = _pages(make_run(tmp_path / "a")), _pages(make_run(tmp_path / "elsewhere" / "b"))
    assert first == second
    assert first == _pages(tmp_path / "a")


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        (["evaluation"], {"results", "win-rates", "scorer", "examples"}),
        (["evaluation/results.json"], {"results", "win-rates", "scorer"}),
        (["models"], {"training"}),
        (["pairs.json", "pairs.jsonl"], {"pairs"}),
        (["data", "manifest.json"], {"data", "cost", "examples"}),
        (["evaluation/plad.jsonl", "pairs.jsonl", "models/plad"], set()),
    ],
)
def test_partial_run_shows_what_is_there(run, missing, gone):
    for name in missing:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    html, text = _pages(run)
    assert set(SECTIONS) - set(Page(html).sections) == gone
    assert text.startswith("# Distillation report")


def test_recipe_alone_is_enough(tmp_path):
    write(tmp_path / "recipe.yaml", "seed: 1\n")
    html, text = _pages(tmp_path)
    assert Page(html).sections == ["recipe", "citation"]
    assert "not been evaluated yet" in html
    assert "not been evaluated yet" in text


def test_missing_recipe_is_the_users_error(tmp_path):
    with pytest.raises(PladError, match=r"no recipe\.yaml"):
        write_report(tmp_path)


def test_damaged_json_names_its_file(run):
    write(run / "pairs.json", "{")
    with pytest.raises(PladError, match=r"pairs\.json is not JSON"):
        write_report(run)


def test_half_a_last_log_line_is_left_out_but_not_one_before(run):
    path = run / "models/plad/history.jsonl"
    whole = path.read_text(encoding="utf-8")
    write(path, whole + '{"step": 90')
    write_report(run)
    write(path, '{"step": 90\n' + whole)
    with pytest.raises(PladError, match=r"history\.jsonl, line 1"):
        write_report(run)


def test_nan_scores_and_losses_do_not_break_the_page(run):
    lines(run / "evaluation/plad.jsonl", [answer("plad", 0, score=float("nan"))])
    lines(run / "models/plad/history.jsonl", [{"step": 1, "loss": float("nan"), "margin": 0.1}])
    row = _data(_pages(run)[0])["rows"][0]
    assert row["gain"] is None
    assert row["answers"]["plad"][1] is None


def test_conversations_are_shown_as_text(run):
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]
    lines(run / "data/test.jsonl", [{"id": "p0", "prompt": talk, "reference": "Bye"}])
    assert _data(_pages(run)[0])["rows"][0]["prompt"] == "user: Hello\n\nassistant: Yes?"


def test_a_thousand_long_examples_stay_under_five_megabytes(tmp_path):
    page, _ = write_report(make_run(tmp_path, 1000, words=300))
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 5_000_000
    # 300 words a model and prompt are too many for all of them; the page says so.
    shown = len(_data(html)["rows"])
    assert 100 < shown < 1000
    assert f"The first {shown} of 1,000 examples" in html


def test_a_thousand_ordinary_examples_are_all_there(tmp_path):
    html, _ = _pages(make_run(tmp_path, 1000, words=60))
    assert len(html.encode()) < 5_000_000
    assert len(_data(html)["rows"]) == 1000


def test_report_needs_no_torch(run):
    code = (
        "import sys; from pathlib import Path; from plad.report import write_report;"
        "assert 'matplotlib' not in sys.modules, 'import of plad.report is slow';"
        "write_report(Path(sys.argv[1]));"
        "heavy = {'torch', 'transformers', 'datasets'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True, timeout=120)


def test_answers_are_found_by_their_ids_in_the_file(tmp_path):
    row = EvalRow("a", "first", score=1, reference_score=2, rouge1=0, rouge2=0, rougeL=0, words=1)
    kept = [row, replace(row, id="b", response="other"), replace(row, response="last")]
    write_jsonl(tmp_path / "plad.jsonl", kept)
    answers = ById(tmp_path / "plad.jsonl")
    assert (answers["a"].response, answers["b"].response, answers.get("c")) == ("last", "other", None)
    assert list(answers) == ["a", "b", "a"]
    write_jsonl(tmp_path / "none.jsonl", [])
    assert "a" not in ById(tmp_path / "none.jsonl")
