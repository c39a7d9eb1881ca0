"""The documentation as a site: pages made of the package, links that lead somewhere, a notebook that runs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml
from pages import PAGES, ROOT

import plad
from plad.cli import main
from plad.config import Recipe


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The hook that makes the reference pages."""
    spec = importlib.util.spec_from_file_location("docs_reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recipe_page_has_every_key_of_pydantics_own_schema(reference: ModuleType) -> None:
    page = reference.recipe_page()
    sections = {part.split("{ #")[1].split(" }")[0]: part for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]}
    schema = Recipe.model_json_schema()
    classes = {"Recipe": schema, **schema["$defs"]}
    assert len(classes) > 40
    assert sections.keys() == {name.lower() for name in classes}
    for name, kind in classes.items():
        rows = re.findall(r"^\| `(\w+)` \| .+ \| .* \| .* \|$", sections[name.lower()], flags=re.MULTILINE)
        assert rows == [key for key in kind.get("properties", {}) if key != "type"], name
        for key, described in kind.get("properties", {}).items():
            assert described.get("description", "").replace("<", "&lt;") in sections[name.lower()] or key == "type"
    for anchor in re.findall(r"\]\(#(.+?)\)", page):
        assert anchor in sections


@pytest.mark.parametrize(
    "row",
    [
        "| `seed` | a whole number ≥ 0 ≤ 2147483648 | `1` |  |",
        "| `max_train` | a whole number > 0 or null | `null` |  |",
        "| `normalise` | `mean`, `sum` | `mean` |",
        "| `sft` | [Training](#training) or null | `{}` |  |",
        "| `chat` | true or false | `false` | send a plain prompt as a user's message through the chat template |",
    ],
)
def test_rows_by_hand(row: str, reference: ModuleType) -> None:
    assert row in reference.recipe_page()


def names(command: click.Command, path: str) -> list[str]:
    """The paths of a command and of those below it."""
    below = command.commands if isinstance(command, click.Group) else {}
    return [path, *(name for inner, one in below.items() for name in names(one, f"{path} {inner}"))]


def test_every_command_and_every_exported_name_has_a_place(reference: ModuleType) -> None:
    headings = re.findall(r"^## (.+)$", reference.commands_page(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(names(main, "plad"))
    exported = {name for name in plad.__all__ if name != "__version__"}
    assert {
        line.rpartition(".")[2] for line in reference.python_page().splitlines() if line.startswith(":::")
    } == exported


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_of_the_repository(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        made_when_built = target.startswith("reference/") and page.parent.name == "docs"
        assert made_when_built or (page.parent / target).exists(), target


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--config-file",
        str(config),
        "--site-dir",
        str(folder),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    ended = build(ROOT / "mkdocs.yml", tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    recipe = (tmp_path / "reference" / "recipe" / "index.html").read_text(encoding="utf-8")
    assert 'id="rankingcalibration"' in recipe
    python = (tmp_path / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    assert 'id="plad.training.trainer.PladTrainer"' in python
    assert (tmp_path / "tour.ipynb").is_file()
    loaded = [
        tag
        for page in tmp_path.rglob("*.html")
        for tag in re.findall(r"<(?:script|img)[^>]+src=\"(https?:[^\"]+)", page.read_text())
    ]
    assert loaded == [], "the site asks nobody else for anything"


@pytest.mark.slow
@pytest.mark.parametrize("link", ["nowhere.md", "index.md#nowhere", "/absolute"])
def test_a_link_that_leads_nowhere_is_an_error(link: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n[a link]({link})\n")
    ours = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    config = {key: ours[key] for key in ("site_name", "strict", "validation")} | {"docs_dir": "docs"}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    ended = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert ended.returncode == 1
    assert link in ended.stderr


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are made, and not kept"
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    told = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert "RankingCalibration" in told
    assert "all 19 tasks are done" in told
    assert "'PLaD': {'value'" in told
