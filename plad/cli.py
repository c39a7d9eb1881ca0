"""The command line as a whole: its name, its options, and how an error is told. The commands are in `plad.commands`."""

from __future__ import annotations

from typing import Any

import click

from plad.commands import COMMANDS
from plad.errors import PladError


class _Commands(click.Group):
    """Turns the user's errors into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PladError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(click.style("error: ", fg="red", bold=True, reset=True) + str(error), err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("stopped; the same command continues where it was.", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="plad")
def main(debug: bool) -> None:
    """Distil a strong language model into a small one from pseudo-preference pairs (arXiv 2406.02886)."""


for _command in COMMANDS:
    main.add_command(_command)
