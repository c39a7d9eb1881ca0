"""The command line as a whole: its name, its options, and how an error is told. The commands are in `plad.commands`."""

from __future__ import annotations

import errno
import sys
from typing import Any

import click

from plad.commands import COMMANDS
from plad.errors import PladError
from plad.progress.terminal import coloured


class _Commands(click.Group):
    """Turns errors into a line and an exit code: 2 where the user can mend it, 1 where nobody foresaw it."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.color = coloured(sys.stdout)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except PladError as error:
            self._tell(ctx, error, str(error), 2)
        except KeyboardInterrupt:
            click.echo("stopped; the same command continues where it was.", err=True)
            ctx.exit(130)
        except Exception as error:
            # The reader of a pipe that has seen enough is no error; click ends quietly.
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            told = f"{type(error).__name__}: {error}"
            self._tell(ctx, error, f"{told}\nNobody foresaw this. `plad --debug …` shows where it comes from.", 1)

    def _tell(self, ctx: click.Context, error: Exception, text: str, code: int) -> None:
        if ctx.params.get("debug"):
            raise error
        label = click.style("error: ", fg="red", bold=True, reset=True)
        click.echo(label + text, err=True, color=coloured(sys.stderr))
        ctx.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="plad")
def main(debug: bool) -> None:
    """Distil a strong language model into a small one from pseudo-preference pairs (arXiv 2406.02886)."""


for _command in COMMANDS:
    main.add_command(_command)
