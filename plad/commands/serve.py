"""`plad serve`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from plad.commands.export import MODEL
from plad.commands.options import quiet
from plad.errors import PladError

INSTALLED_BY = {
    "transformers": "pip install 'transformers[serving]'",
    "vllm": "pip install vllm",
    "llama-server": "see llama.cpp's own page for your system",
}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@MODEL
@click.option("--engine", type=click.Choice(["transformers", "vllm", "llama.cpp"]), default="transformers")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--print", "printed", is_flag=True, help="Print the command instead of becoming it.")
def serve(run: Path, name: str | None, engine: str, port: int, printed: bool) -> None:
    """Serve a model of RUN behind an OpenAI-compatible endpoint of this machine.

    RUN is a run folder, whose model is exported and checked first, or what `plad export` wrote. Any client can then ask
    it, another run's teacher of `type: openai` among them.
    """
    quiet()
    from plad.progress.terminal import waiting

    with waiting("exporting …"):
        from plad.shipping.serving import exported_for
        from plad.shipping.usage import server

        folder, called = exported_for(run, name, engine)
        wanted = server(engine, folder, port, called)
    click.echo(wanted.shown())
    asked = f"teacher: {{model: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', model: {wanted.model!r}, "
    click.echo(f"# as a teacher: {asked}api_key_env: null}}, sft: null}}", err=True)
    if printed:
        return
    program = wanted.command[0]
    if shutil.which(program) is None:
        raise PladError(f"{engine} is served by `{program}`, which is not installed: {INSTALLED_BY[program]}.")
    os.execvp(program, list(wanted.command))  # Ctrl-C and signals are then the server's own
