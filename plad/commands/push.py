"""`plad card` and `plad push`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from plad.commands.export import FORM, MODEL, PROMPTS
from plad.commands.options import dumped, for_machines, quiet

LICENCE = click.option("--license", "licence", metavar="ID", help="Of the hub's list, such as apache-2.0.")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@MODEL
@FORM
@LICENCE
@click.option("--repo-id", metavar="OWNER/NAME", help="Where it will be, for the code on the card.")
def card(run: Path, name: str | None, form: str, licence: str | None, repo_id: str | None) -> None:
    """Print the model card of RUN: metadata, results with intervals, use, data, limits, recipe, citation."""
    quiet()
    from plad.shipping.card import model_card
    from plad.shipping.source import find_model

    click.echo(model_card(find_model(run, name), form, repo_id, licence), nl=False)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("repo_id", metavar="OWNER/NAME")
@MODEL
@FORM
@LICENCE
@click.option("--public", is_flag=True, help="Let everybody see a repository that this makes [default: private]")
@click.option("--dry-run", "folder", type=click.Path(path_type=Path), help="Write it to this folder, and push nothing.")
@PROMPTS
@for_machines
def push(
    run: Path,
    repo_id: str,
    name: str | None,
    form: str,
    licence: str | None,
    public: bool,
    folder: Path | None,
    prompts: int,
    as_json: bool,
) -> None:
    """Export a model of RUN, check it, and push it to the hub with its card. A repository that is made is private.

    The token is that of `hf auth login`, or HF_TOKEN.
    """
    quiet()
    from plad.progress.terminal import waiting
    from plad.shipping.push import check_login, prepare
    from plad.shipping.push import push as upload
    from plad.shipping.source import find_model

    model = find_model(run, name)
    if folder is None:
        check_login(repo_id)
    with TemporaryDirectory(prefix="plad-push-") as scratch, waiting("exporting …"):
        target = folder or Path(scratch) / "model"
        found = prepare(model, form, target, repo_id, licence, prompts)  # type: ignore[arg-type]  # click chose it
        address = "" if folder else upload(model, target, repo_id, public)
    if as_json:
        click.echo(dumped({"event": "push", "commit": address or None, "check": found.check_json()}))
        return
    for line in found.lines():
        click.echo(line)
    click.echo(address or f"{folder} is what would be pushed to {repo_id}")
