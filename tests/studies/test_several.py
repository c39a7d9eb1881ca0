"""Several runs on one page: grouped by recipe, pooled and compared by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_run import answer, lines, make_run, results, write

from plad.cli import main
from plad.errors import PladError
from plad.studies.several import report_several

RECIPE = "name: demo\nseed: {seed}\ndistill: {{loss: {{margin: {margin}}}}}\n"


def run_of(folder: Path, seed: int = 1, margin: float = 1.0, score: float | None = None, **changes: object) -> Path:
    """A finished run of 12 prompts; PLaD wins on 3 of 4 with ties half (0.625), or on all where it has a `score`."""
    run = make_run(folder)
    write(run / "recipe.yaml", RECIPE.format(seed=seed, margin=margin))
    write(run / "evaluation/results.json", results() | {"subject": "plad"} | changes)
    manifest = json.loads((run / "manifest.json").read_text()) | {"seed": seed}
    write(run / "manifest.json", manifest)
    if score is not None:
        lines(run / "evaluation/plad.jsonl", [answer("plad", place, score=score) for place in range(12)])
    return run


def test_runs_of_one_recipe_are_pooled_over_their_seeds(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "one"), run_of(tmp_path / "two", seed=2, score=0.9)]
    page, text, tables = report_several(runs, tmp_path / "both.html")
    assert (page.name, text.name) == ("both.html", "both.md")
    [table] = tables
    assert table["seeds"] == [1, 2]
    plad = next(row for row in table["rows"] if row["name"] == "plad")
    # Of four prompts two are won, one tied, one lost: 0.625. In the other run all are won.
    assert plad["against_initial"]["by_seed"] == [0.625, 1.0]
    assert plad["against_initial"]["value"] == pytest.approx(0.8125)
    html = page.read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "2 runs of 1 recipe" in html
    assert "beats the initial student on 81.2 % of 24 test prompts" in html
    assert "62.5, 100.0" in html
    assert "How the recipes differ" not in html
    assert "81.2" in text.read_text(encoding="utf-8")


def test_recipes_are_told_apart_and_compared_prompt_by_prompt(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "one"), run_of(tmp_path / "two", margin=0.5, score=0.9)]
    page, _, tables = report_several(runs, tmp_path / "both.html")
    assert [table["letter"] for table in tables] == ["A", "B"]
    html = page.read_text(encoding="utf-8").replace("\u00a0", " ")
    # 1 against 0.625, on the same prompts.
    assert "B against A, paired by seed and prompt: wins over the initial student differ by +37.5 points" in html
    assert "distill.loss.margin" in html
    assert "2 runs of 2 recipes" in html


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"seed": 2}, "they have other seeds"),
        ({"scorer": {"name": "another"}}, "their judges differ"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path: Path, other: dict, why: str) -> None:
    runs = [run_of(tmp_path / "one"), run_of(tmp_path / "two", margin=0.5, **other)]
    page, _, _ = report_several(runs, tmp_path / "both.html")
    assert f"B and A cannot be compared prompt by prompt: {why}." in page.read_text(encoding="utf-8")


def test_other_test_prompts_cannot_be_compared(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "one"), run_of(tmp_path / "two", margin=0.5)]
    prompts = (runs[1] / "data/test.jsonl").read_text().splitlines()
    (runs[1] / "data/test.jsonl").write_text("\n".join(reversed(prompts)) + "\n")
    page, _, _ = report_several(runs, tmp_path / "both.html")
    assert "their test prompts differ" in page.read_text(encoding="utf-8")


def test_runs_that_are_no_runs_are_refused(tmp_path: Path) -> None:
    one, two = run_of(tmp_path / "one"), run_of(tmp_path / "two", seed=2)
    with pytest.raises(PladError, match="one comes twice"):
        report_several([one, tmp_path / "two" / ".." / "one"], tmp_path / "x.html")
    with pytest.raises(PladError, match=r"no recipe\.yaml"):
        report_several([one, tmp_path], tmp_path / "x.html")
    shutil.rmtree(two / "evaluation")
    with pytest.raises(PladError, match="has none yet"):
        report_several([one, two], tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_folders_of_one_name_are_called_by_their_paths(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "a" / "run"), run_of(tmp_path / "b" / "run", seed=2)]
    page, _, _ = report_several(runs, tmp_path / "both.html")
    assert str(runs[1]) in page.read_text(encoding="utf-8")


def test_the_command(tmp_path: Path) -> None:
    runs = [str(run_of(tmp_path / "one")), str(run_of(tmp_path / "two", seed=2))]
    page = str(tmp_path / "both.html")
    told = CliRunner().invoke(main, ["report", *runs, "--out", page])
    assert told.exit_code == 0
    assert told.output.endswith(f"report: {page}\n")
    told = CliRunner().invoke(main, ["report", *runs, "--out", page, "--json"])
    assert json.loads(told.output)["tables"][0]["seeds"] == [1, 2]
    for wrong in (["report", runs[0], "--out", page], ["report", *runs, "--force"]):
        told = CliRunner().invoke(main, wrong)
        assert told.exit_code == 2
