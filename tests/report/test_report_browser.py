"""The report in a real browser: no complaint, no request, an example browser that works, text that stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab, chromium
from made_run import answer, lines, make_run
from test_report_quality import extended

from plad.report import write_report
from plad.report.case import marked

pytestmark = pytest.mark.slow

SOURCE = "def load(path):\n    # read the whole file at once, whatever the size"
ANSWERS = (
    "Read the whole file and return it.",
    "load the file, at ONCE! Whatever",
    "the Whole — file",
    "whole file at once whole file at once",
    "nothing at all",
    "Übergröße read the, whole   file_path",
)
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    '<img src="x" onerror="window.hacked = 3">',
    '<a href="javascript:window.hacked = 4">click</a>',
    "<svg onload=window.hacked=5><style>*{display:none}</style>",
    "{{ 7 * 7 }} {% raw %} ${7 * 7} <%= 7 * 7 %> &lt;b&gt; &amp;",
    "\u202egnirts desrever\u202c \u2066 unclosed \u202e",
    "\u2028 \u2029 <!-- <script> ]]> ' \" ` \\",
    "כותרת עם טקסט",
)
THEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 1,000 examples with every kind of number."""
    run = make_run(tmp_path_factory.mktemp("many") / "run", 1000, words=60)
    (run / "evaluation/results.json").write_text(json.dumps(extended()))
    return write_report(run)[0]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which whatever a model, a prompt, a reference or an id says is an attack."""
    run = make_run(tmp_path_factory.mktemp("hostile") / "run", len(HOSTILE))
    prompts = [{"id": text, "prompt": text, "reference": text} for text in HOSTILE]
    lines(run / "data/test.jsonl", prompts)
    for name in ("student", "plad"):
        rows = [answer(name, place, id=text, response=text) for place, text in enumerate(HOSTILE)]
        lines(run / f"evaluation/{name}.jsonl", rows)
    return write_report(run)[0]


def test_it_opens_without_a_complaint_and_asks_for_nothing(browser: Any, page: Path) -> None:
    tab = Tab(browser)
    tab.open(page)
    assert tab.count() == "1000 of 1000 examples"
    # However many there are, a page of them is in the document.
    assert len(tab.shown()) == 20
    assert tab.page.evaluate("document.querySelectorAll('*').length") < 12_000
    assert tab.complaints == []
    assert tab.requests == [page.as_uri()]


def test_the_first_screen_has_the_verdict_and_the_whole_table(browser: Any, page: Path) -> None:
    view = Tab(browser).open(page)
    for name in (".verdict", ".results"):
        box = view.locator(name).first.bounding_box()
        assert box["y"] > 0
        assert box["y"] + box["height"] < 900


def test_search_filter_and_sort(browser: Any, page: Path) -> None:
    tab = Tab(browser)
    view = tab.open(page)
    search, show, sort = (view.locator(f"[name={name}]") for name in ("search", "show", "sort"))
    search.fill("VARIANT 777.")
    assert (tab.count(), tab.shown()) == ("1 of 1000 examples", ["p777"])
    search.fill("no such words")
    assert "No example fits" in view.locator("#examples-list").inner_text()
    search.fill("")
    # Of every four, two are won, one tied, one lost.
    show.select_option("won")
    assert tab.count() == "500 of 1000 examples"
    show.select_option("lost")
    assert (tab.count(), tab.shown()[:2]) == ("250 of 1000 examples", ["p3", "p7"])
    show.select_option("all")
    sort.select_option("gain")
    assert tab.shown()[:2] == ["p0", "p4"]
    sort.select_option("loss")
    assert tab.shown()[:2] == ["p3", "p7"]
    show.select_option("changed")
    # A tenth of all; the largest change is the gain of 0.4.
    assert tab.count() == "100 of 1000 examples"
    view.locator("[name=next]").click()
    assert view.locator(".pages span").inner_text() == "Page 2 of 5"


def test_a_permanent_link_opens_its_example_whatever_is_searched(browser: Any, page: Path) -> None:
    tab = Tab(browser)
    view = tab.open(page, "#example-p777")
    box = view.locator("#example-p777")
    assert 0 <= box.bounding_box()["y"] < 900
    assert "linked" in box.get_attribute("class")
    view.locator("[name=search]").fill("variant 3.")
    assert tab.shown() == ["p3"]
    view.evaluate("location.hash = '#example-p778'")
    view.wait_for_selector("#example-p778")
    assert view.locator("[name=search]").input_value() == ""


def test_what_a_model_says_stays_text(browser: Any, hostile: Path) -> None:
    tab = Tab(browser)
    view = tab.open(hostile)
    assert tab.shown() == list(HOSTILE)
    for name, texts in {".prompt": 1, ".answers .text": 3}.items():
        said = view.locator(f"article {name}").evaluate_all("boxes => boxes.map(box => box.textContent)")
        own = [text for text in said if text in HOSTILE]
        assert own == [text for text in HOSTILE for _ in range(texts)]
    inside = "#examples-list :is(script, img, svg, style, iframe, a:not([href^='#example-']))"
    assert view.locator(inside).count() == 0
    assert view.evaluate("window.hacked") is None
    assert (tab.complaints, tab.requests) == ([], [hostile.as_uri()])
    # A text that turns the direction round does so within its box.
    assert view.locator("article h3").first.evaluate("box => getComputedStyle(box).direction") == "ltr"


@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_a_hostile_id_has_a_permanent_link_too(browser: Any, hostile: Path, place: int) -> None:
    tab = Tab(browser)
    view = tab.open(hostile)
    view.locator("article a").nth(place).click()
    linked = view.locator("article.linked")
    assert linked.evaluate("box => box.id") == f"example-{HOSTILE[place]}"


def test_words_of_the_source_are_marked_as_the_case_pages_mark_them(browser: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", len(ANSWERS))
    prompts = [{"id": f"p{n}", "prompt": SOURCE, "reference": ANSWERS[n]} for n in range(len(ANSWERS))]
    lines(run / "data/test.jsonl", prompts)
    view = Tab(browser).open(write_report(run)[0])
    for place, text in enumerate(ANSWERS):
        box = view.locator("article").nth(place).locator(".text:not(.prompt)").first
        assert box.evaluate("box => box.textContent") == text
        phrases = [piece.text for piece in marked(text, SOURCE)[0] if piece.shared]
        assert box.locator("mark").evaluate_all("marks => marks.map(mark => mark.textContent)") == phrases
    words = view.locator("article").nth(1).locator(".text:not(.prompt)").first.locator(".shared")
    # In no phrase, and of four letters or more.
    assert words.all_inner_texts() == ["load"]


@pytest.mark.parametrize("scheme", list(THEMES))
def test_both_themes_can_be_read_and_be_chosen(browser: Any, page: Path, scheme: Any) -> None:
    view = Tab(browser, color_scheme=scheme).open(page)
    seen = [_background(view)]
    for _ in range(3):
        view.locator(".theme").click()
        seen.append(_background(view))
    assert seen == [THEMES[scheme], THEMES["light"], THEMES["dark"], THEMES[scheme]]


def test_a_chosen_theme_is_remembered(browser: Any, page: Path) -> None:
    tab = Tab(browser, color_scheme="light")
    view = tab.open(page)
    view.locator(".theme").click(click_count=2)
    view.reload()
    assert _background(view) == THEMES["dark"]
    assert view.locator(".theme").inner_text() == "Theme: dark"


@pytest.mark.parametrize("scheme", list(THEMES))
@pytest.mark.parametrize("width", [390, 1280])
def test_no_rule_of_accessibility_is_broken(browser: Any, hostile: Path, scheme: Any, width: int) -> None:
    """axe-core's rules: contrast, names, landmarks, table headers, what scrolls can be reached by the keyboard."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")
    view = Tab(browser, width, color_scheme=scheme, reduced_motion="reduce").open(hostile)
    found = axe.Axe().run(view, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in found] == []


def test_a_phone_scrolls_tables_and_not_the_page(browser: Any, page: Path) -> None:
    view = Tab(browser, 390, 844).open(page)
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    table, name = view.locator(".scroll").first, view.locator(".results tbody th").first
    before = name.bounding_box()["x"]
    table.evaluate("box => box.scrollBy(200, 0)")
    assert table.evaluate("box => box.scrollLeft") == 200
    assert name.bounding_box()["x"] == before


def test_the_keyboard_reaches_the_results_first_and_sees_where_it_is(browser: Any, page: Path) -> None:
    view = Tab(browser).open(page)
    view.keyboard.press("Tab")
    focus = view.locator(":focus")
    assert focus.inner_text() == "Skip to the content"
    assert focus.bounding_box()["x"] >= 0
    assert focus.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    view.keyboard.press("Enter")
    assert view.evaluate("document.activeElement.id") == "main"


def test_print_is_light_and_without_controls(browser: Any, page: Path) -> None:
    view = Tab(browser, color_scheme="dark").open(page)
    view.emulate_media(media="print")
    assert _background(view) == THEMES["light"]
    for name in (".controls", ".contents", ".theme", ".save"):
        assert not view.locator(name).first.is_visible()


def test_a_table_can_be_saved(browser: Any, page: Path, tmp_path: Path) -> None:
    view = Tab(browser, accept_downloads=True).open(page)
    with view.expect_download() as waiting:
        view.locator("#results .save").first.click()
    assert waiting.value.suggested_filename == "results.csv"
    waiting.value.save_as(tmp_path / "saved.csv")
    assert (tmp_path / "saved.csv").read_text().splitlines()[-1].startswith("PLaD,38.4,")


def _background(view: Any) -> str:
    return str(view.evaluate("getComputedStyle(document.body).backgroundColor"))
