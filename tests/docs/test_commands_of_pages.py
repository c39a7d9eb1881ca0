"""Every command on the pages is there, and is run here unless the page says what it needs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from pages import PAGES, ROOT, Line, blocks, lines
from tiny_run import RECIPE, rows, write_rows

from plad.cli import main
from plad.config import changed, load_recipe

LINES = [line for page in PAGES for line in lines(page)]
SETTING_UP = ("python3 -m venv ", ". .venv/bin/activate", "pre-commit install")
TINY = [
    "task.source={type: table, path: rows.jsonl}",
    "task.splits={train: 0.4, distill: 0.3, validation: 0.1, test: 0.2, near_duplicates: null}",
    "prompt={max_prompt_tokens: 64, max_response_tokens: 16}",
    *(
        f"{role}.model={{type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 320}}"
        for role in ("teacher", "student")
    ),
    "teacher.sft={max_steps: 40, batch_size: 4, learning_rate: 0.01}",
    "student.sft={max_steps: 20, batch_size: 4, learning_rate: 0.01}",
    "sample={max_new_tokens: 16, batch_size: 4}",
    "distill.max_steps=2",
    "pairs.scorer=null",
    "evaluate={judge: {type: rouge}, calibration: null}",
]
"""What makes any recipe for processors small enough to be run in seconds."""


def arguments(command: str) -> list[str]:
    """Those of a `plad` command, without the program and without where its output goes."""
    return shlex.split(re.sub(r" >>? \S+$", "", command))[1:]


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> click.Context:
    """Parse as the command line does, down to the last subcommand, and call nothing."""
    context = command.make_context(name, list(words), parent=parent)
    if not isinstance(command, click.Group):
        return context
    inner_name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    assert inner is not None
    return parse(inner, str(inner_name), rest, context)


def write_titled(page: Path, folder: Path) -> None:
    """The files that a page shows."""
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")


def check_pip(command: str) -> None:
    """The extras that are asked for are those of the project."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"(?:\.|plad)\[([\w,]+)\]", command):
        assert set(named.split(",")) <= extras.keys(), command


def check_make(command: str, folder: Path) -> None:
    """There is such a target; what it would do is only printed."""
    ended = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_the_pages_have_commands() -> None:
    assert len(LINES) > 25
    assert {line.page.name for line in LINES} >= {"README.md", "start.md", "your-data.md", "your-teacher.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_commands_stand_in_blocks_that_say_so(page: Path) -> None:
    for block in blocks(page):
        assert block.language, f"{page.name}: a block without a language: {block.text[:60]!r}"
        if block.language != "sh":
            assert not re.search(r"^\$? ?(plad|make|pip) ", block.text, flags=re.MULTILINE), block


@pytest.mark.parametrize("line", LINES, ids=str)
def test_every_command_is_one_that_there_is(line: Line, tmp_path: Path) -> None:
    program = line.command.split()[0]
    if program == "plad":
        context = parse(main, "plad", arguments(line.command))
        recipe = context.params.get("recipe")
        if recipe is not None and str(recipe).startswith("recipes/"):
            load_recipe(ROOT / recipe, context.params.get("overrides", ()))
    elif program == "pip":
        check_pip(line.command)
    elif program == "make":
        check_make(line.command, tmp_path)
    else:
        assert line.needs or line.command.startswith(SETTING_UP), "what runs this in a test, or what does it need?"


def inline(page: Path) -> list[str]:
    """`plad …` inside a line of text or a table, alternatives (`a | b`) taken apart."""
    told = []
    for code in re.findall(r"(?<!`)`(plad [^`\n]+)`", page.read_text(encoding="utf-8")):
        code = code.replace("\\|", "|")
        head, *others = re.split(r" \| ", code)
        last = others[-1].split(" ", 1) if others else []
        tail = f" {last[1]}" if len(last) > 1 else ""
        words = [head, *(f"{head.rpartition(' ')[0]} {other}" for other in [*others[:-1], *last[:1]])]
        told += [word + tail for word in words] if others else [code]
    return told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_inside_sentences_name_what_there_is(page: Path) -> None:
    for code in inline(page):
        command: click.Command = main
        words = shlex.split(re.sub(r"(?<= )…$", "", code).strip())[1:]
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-") and word != "…":
                assert word in command.commands, f"{page.name}: `{code}`"
                command = command.commands[word]
            elif word.startswith("--"):
                known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
                assert word in known, f"{page.name}: `{code}`"


def test_alternatives_inside_a_sentence_are_taken_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`plad cache list \\| verify \\| prune` and `plad sft \\| pair RUN` and `plad run X`")
    assert inline(page) == [
        "plad cache list",
        "plad cache verify",
        "plad cache prune",
        "plad sft RUN",
        "plad pair RUN",
        "plad run X",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_on_a_page_are_part_of_a_recipe(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_titled(page, tmp_path)
    for block in blocks(page, "yaml"):
        given = yaml.safe_load(block.text)
        base = yaml.safe_load(RECIPE.replace("DATA", str(write_rows(tmp_path / "rows.jsonl", rows()))))
        file = tmp_path / "recipe.yaml"
        file.write_text(yaml.safe_dump({key: given.get(key, value) for key, value in (given | base).items()}))
        load_recipe(file)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recipes of the same names and of a tiny size, in which a reader types."""
    (tmp_path / "recipes").mkdir()
    write_rows(tmp_path / "rows.jsonl", rows())
    for name in ("smoke", "demo"):
        recipe = changed(load_recipe(ROOT / "recipes" / f"{name}.yaml"), TINY)
        (tmp_path / "recipes" / f"{name}.yaml").write_text(recipe.to_yaml())
    for name in ("table1", "70b-to-8b"):  # as they are
        shutil.copy(ROOT / "recipes" / f"{name}.yaml", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runnable(page: Path) -> list[Line]:
    """The `plad` commands of a page that need nothing."""
    return [line for line in lines(page) if line.command.startswith("plad ") and not line.needs]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run_one_after_another(page: Path, folder: Path) -> None:
    write_titled(page, folder)
    for line in runnable(page):
        result = CliRunner().invoke(main, arguments(line.command))
        assert result.exit_code == 0, f"{line}\n{result.output}"
