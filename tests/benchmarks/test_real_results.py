"""The scripts behind docs/results.md: its generated parts, and the cell that anybody can run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_run import Recorder, times

from plad.config import load_recipe
from plad.errors import PladError
from plad.models.fetch import PACKAGED
from plad.studies import make_table1

ROOT = Path(__file__).parents[2]

PAGE = """\
# Results

What we say of it.

<!-- tiny -->
last week's numbers
<!-- /tiny -->

More that we say.
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module


@pytest.fixture
def study(tiny_recipe: Path, copy_of_run: Callable[[], Path], tmp_path: Path) -> Path:
    """A finished study of one seed."""
    folder = tmp_path / "study"
    folder.mkdir()
    copy_of_run().rename(folder / "seed-1")
    make_table1(load_recipe(tiny_recipe), folder, [1], Recorder())
    return folder


def test_a_page_gets_its_numbers_and_keeps_its_words(script: Any, study: Path, tmp_path: Path) -> None:
    pages, page = script("results_page"), tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    pages.write_page(page, [pages.read_study(study)])
    text = page.read_text()
    before, rest = text.split("<!-- tiny -->\n")
    generated, after = rest.split("<!-- /tiny -->")
    assert (before, after) == ("# Results\n\nWhat we say of it.\n\n", "\n\nMore that we say.\n")
    assert "last week" not in text
    assert "```sh\nplad study table1 recipes/tiny.yaml --seeds 1  # needs " in generated
    assert (study / "table1.md").read_text().strip() in generated
    manifest = json.loads((study / "seed-1" / "manifest.json").read_text())
    assert f"torch {manifest['versions']['torch']}" in generated
    train, distill, test, made = (
        len((study / "seed-1" / file).read_text().splitlines())
        for file in ("data/train.jsonl", "data/distill.jsonl", "data/test.jsonl", "pairs.jsonl")
    )
    counts = f"{train} prompts to train on, {distill} to distil on, {test} to test; {made} pairs, 4 steps a method."
    assert counts in generated
    linked = page.parent / "benchmarks"
    assert json.loads((linked / "tiny.json").read_text()) == json.loads((study / "table1.json").read_text())
    assert (linked / "tiny.csv").read_text() == (study / "table1.csv").read_text()
    assert yaml.safe_load((linked / "tiny.yaml").read_text())["distill"]["max_steps"] == 4
    pages.write_page(page, [pages.read_study(study)])
    assert page.read_text() == text


def test_a_page_without_a_place_is_told_which(script: Any, study: Path, tmp_path: Path) -> None:
    pages, page = script("results_page"), tmp_path / "results.md"
    page.write_text("# Results\n")
    with pytest.raises(PladError, match="no place for tiny"):
        pages.write_page(page, [pages.read_study(study)])
    assert page.read_text() == "# Results\n"
    with pytest.raises(PladError, match=r"has no table1\.json"):
        pages.read_study(tmp_path)


def test_models_are_told_with_size_licence_and_origin(script: Any) -> None:
    pages = script("results_page")
    roles = {"teacher": {"model": {"path": "models/gemma-3-270m"}}, "student": {"model": {"type": "scratch"}}}
    [gemma] = [line for line in pages.models([pages.Study(Path(), {}, roles, {})]).splitlines() if "`gemma" in line]
    known = PACKAGED["gemma-3-270m"]
    assert all(told in gemma for told in (f"{known.download} MB", f"{known.kept:,} MB", known.licence, known.hub))


def test_a_tenth_of_a_recipe(script: Any) -> None:
    whole = load_recipe(ROOT / "recipes" / "real-debian.yaml")
    part = script("real_quick").smaller(whole)
    assert part.task.splits.caps() == (150, 40, 10, 66)
    assert (part.teacher.sft.max_steps, part.student.sft.max_steps) == (13, 13)
    assert part.evaluate.judge_samples == 20
    assert list(part.methods) == ["plad"]
    assert part.distill == whole.distill
    assert (part.prompt, part.sample, part.evaluate.judge) == (whole.prompt, whole.sample, whole.evaluate.judge)


@pytest.mark.parametrize(("shift", "word"), [(0.0, "within"), (1.0, "outside")])
def test_a_cell_is_set_beside_what_is_published(script: Any, study: Path, shift: float, word: str) -> None:
    table = json.loads((study / "table1.json").read_text())
    published = json.loads(json.dumps(table))
    [plad] = [row for row in published["rows"] if row["name"] == "plad"]
    plad["against_initial"]["value"] += shift
    told = script("real_quick").told(table, published)
    assert [line.split(",")[0] for line in told.splitlines()[1:7]] == ["Teacher", "Initial student", "PLaD"] * 2
    value = 100 * plad["against_initial"]["value"]
    assert f"{value:.1f} % is published, which is {word} " in told.splitlines()[-1]
    assert "Nothing is published" in script("real_quick").told(table, None)


def test_the_cell_is_a_study_that_goes_on(
    script: Any, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny recipe has no caps, so that what is smaller of it is its fine-tuning."""
    out = tmp_path / "quick"
    monkeypatch.setattr("sys.argv", ["real_quick.py", "--recipe", str(tiny_recipe), "--out", str(out)])
    script("real_quick").main()
    assert "PLaD, here, at a tenth" in capsys.readouterr().out
    tasks = json.loads((out / "seed-1" / "manifest.json").read_text())["tasks"]
    assert tasks["sft/teacher"]["summary"]["steps"] == 40 // 3
    assert [name for name in tasks if name.startswith("distill/")] == ["distill/plad"]
    written = times(out / "seed-1")
    script("real_quick").main()
    assert times(out / "seed-1") == written
