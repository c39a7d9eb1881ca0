"""`plad chat`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plad.commands.options import dumped, for_machines, quiet
from plad.errors import PladError

if TYPE_CHECKING:
    from plad.shipping.chat import Answer, Talk

WIDE = 100
"""Columns of a terminal from which answers stand side by side."""

HELP = """\
/sample      answer at the run's temperature, and anew each time; again: back to temperature 0
/again       ask the last prompt again
/likelihood  tell how likely each model finds its own answer, per token
/quit        end; Ctrl-D and, at the prompt, Ctrl-C do too"""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", "prompts", multiple=True, help="Ask this, and end. Repeatable.")
@click.option("--model", "names", multiple=True, metavar="NAME", help="[default: teacher, student before, and after]")
@click.option("--sample", is_flag=True, help="Answer at the run's temperature [default: temperature 0]")
@click.option("--likelihood", is_flag=True, help="Tell how likely each model finds its own answer.")
@for_machines
def chat(
    run: Path, prompts: tuple[str, ...], names: tuple[str, ...], sample: bool, likelihood: bool, as_json: bool
) -> None:
    """Ask the models of RUN the same and see their answers side by side: the teacher, the student before and after.

    Type a prompt, or /help. In a pipe every line is a prompt.
    """
    quiet()
    from plad.progress.terminal import waiting

    with waiting("starting …"):
        from plad.shipping.chat import Talk

        talk = Talk(_models(run, names), drawn=int(sample), likelihood=likelihood)
    if prompts or not sys.stdin.isatty():
        for text in prompts or map(str.rstrip, sys.stdin):
            if text:
                _answer(talk, text, as_json)
        return
    click.echo(f"{', '.join(model.name for model in talk.models)} of {run}; /help tells what else there is.")
    last = ""
    for line in _typed():
        last = _obey(talk, line, last) if line.startswith("/") else line
        if last and (not line.startswith("/") or line == "/again"):
            _answer_or_tell(talk, last, as_json)


def _models(run: Path, names: tuple[str, ...]) -> list[Any]:
    """The models asked for; by default teacher, initial student and subject, without a teacher that can't be asked."""
    from dataclasses import replace

    from plad.shipping.source import find_model

    if names:
        return [find_model(run, name) for name in names]
    subject = find_model(run)
    teacher = subject.recipe.teacher
    if not teacher.text_only:
        return [find_model(run, "teacher"), find_model(run, "student"), subject]
    if teacher.model.type != "openai":
        click.echo("the teacher's answers are recorded, so that it can't be asked anew.", err=True)
        return [find_model(run, "student"), subject]
    click.echo(f"the teacher is {teacher.model.model}, a server: every prompt is a request to it.", err=True)
    return [replace(subject, name="teacher"), find_model(run, "student"), subject]


def _typed() -> Iterator[str]:
    """Lines that a person types, until Ctrl-D, Ctrl-C or /quit."""
    import readline  # noqa: F401  # input() edits lines and remembers them once it is loaded

    while True:
        try:
            line = input("\n> ").strip()
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return
        if line == "/quit":
            return
        if line:
            yield line


def _obey(talk: Talk, line: str, last: str) -> str:
    """Carry out a command; the prompt that was last asked stays what it was."""
    if line == "/sample":
        talk.drawn = 0 if talk.drawn else 1
        temperature = talk.models[-1].drawn.temperature
        click.echo(f"at temperature {temperature:g}, anew each time" if talk.drawn else "at temperature 0")
    elif line == "/likelihood":
        talk.likelihood = not talk.likelihood
        click.echo("with likelihoods" if talk.likelihood else "without likelihoods")
    elif line == "/again":
        talk.drawn += bool(talk.drawn)
        if not last:
            click.echo("nothing was asked yet.")
    else:
        click.echo(HELP if line == "/help" else f"there is no {line}.\n{HELP}")
    return last


def _answer_or_tell(talk: Talk, text: str, as_json: bool) -> None:
    try:
        _answer(talk, text, as_json)
    except PladError as error:
        click.echo(f"{error}", err=True)
    except KeyboardInterrupt:
        click.echo("\nstopped.")


def _answer(talk: Talk, text: str, as_json: bool) -> None:
    from plad.progress.terminal import console, moves

    if as_json:
        answers = [answer.to_json() for answer in talk.ask(text)]
        click.echo(dumped({"event": "answers", "prompt": text, "answers": answers}))
        return
    out = console()
    if not moves(sys.stdout):
        out.print(f"> {_shown(text)}", markup=False, soft_wrap=True)
        for answer in talk.ask(text):
            out.print(f"{_heading(talk, answer)}: {_shown(answer.text)}", markup=False, soft_wrap=True)
        return
    with out.status("", spinner="dots") as status:
        answers_so_far: list[Answer] = []
        status.update(f"{talk.models[0].name} …")
        for answer in talk.ask(text):
            answers_so_far.append(answer)
            if len(answers_so_far) < len(talk.models):
                status.update(f"{talk.models[len(answers_so_far)].name} …")
    out.print(_side_by_side(talk, answers_so_far, out.width))


def _side_by_side(talk: Talk, answers: list[Answer], width: int) -> Any:
    """A column an answer on a wide terminal, else one below the other."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    headings = [Text(_heading(talk, answer), "bold") for answer in answers]
    texts = [Text(_shown(answer.text)) for answer in answers]
    if width < WIDE:
        return Group(
            *(Group(heading, Padding(text, (0, 0, 0, 2))) for heading, text in zip(headings, texts, strict=True))
        )
    table = Table.grid(padding=(0, 3, 0, 0), expand=True)
    for _ in answers:
        table.add_column(ratio=1, overflow="fold")
    table.add_row(*headings)
    table.add_row(*texts)
    return table


def _heading(talk: Talk, answer: Answer) -> str:
    subject = talk.models[-1].name
    role = {"student": "student, before", subject: f"{subject}, after"}.get(answer.model, answer.model)
    told = role if "student" in (model.name for model in talk.models) and subject != "student" else answer.model
    told += "" if answer.logp is None else f" (log-likelihood {answer.logp:.2f})"
    return told + ("" if answer.finished else ", cut off")


def _shown(text: str) -> str:
    from plad.report.example import visible

    return visible(text) if text.strip() else "(empty)"
