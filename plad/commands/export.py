"""`plad export`."""

from __future__ import annotations

from pathlib import Path

import click

from plad.commands.options import dumped, for_machines, quiet

MODEL = click.option("--model", "name", metavar="NAME", help="A model of the run [default: the student it is about]")

FORM = click.option(
    "--to", "form", type=click.Choice(["adapter", "merged", "gguf"]), default="merged", show_default=True
)
PROMPTS = click.option(
    "--prompts", default=8, show_default=True, type=click.IntRange(min=0), help="Held-out prompts to check it on."
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@FORM
@MODEL
@click.option("--weights", help="Of a GGUF file: f32, f16, bf16 or q8_0 [default: f16]")
@PROMPTS
@for_machines
def export(run: Path, out: Path, form: str, name: str | None, weights: str | None, prompts: int, as_json: bool) -> None:
    """Write a model of RUN to OUT: an adapter for peft, a folder for transformers and vLLM, a file for llama.cpp.

    What was written then answers held-out prompts at temperature 0 as its users will ask it, and the command fails if
    that is not what the run's own model says.
    """
    quiet()
    from plad.progress.terminal import waiting

    with waiting("exporting …"):
        from plad.shipping.export import export as write
        from plad.shipping.source import find_model

        found = write(find_model(run, name), form, out, prompts, weights)  # type: ignore[arg-type]  # click chose it
    if as_json:
        told = {"path": str(found.path), "form": found.form, "check": found.check_json()}
        click.echo(dumped({"event": "export", **told}))
        return
    click.echo(f"{found.path}")
    for line in found.lines():
        click.echo(f"  {line}")
