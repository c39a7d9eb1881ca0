"""`plad watch`."""

from __future__ import annotations

from pathlib import Path

import click

from plad.commands.options import dumped, for_machines


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of this machine [default: one that is free]")
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@for_machines
def watch(run: Path, port: int, opens: bool, as_json: bool) -> None:
    """Serve the report of RUN to this machine while it goes on: stages, curves and pairs so far, then the results.

    It reads the run folder and writes nothing, so that it may be stopped and started at any time. Ctrl-C ends it.
    """
    import webbrowser

    from plad.watching import Watch, server_of

    with server_of(Watch(run), port) as server:
        address = f"http://{server.server_address[0]!s}:{server.server_port}/"
        click.echo(
            dumped({"event": "watch", "address": address}) if as_json else f"{address} shows {run}; Ctrl-C ends it"
        )
        if opens:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("", err=True)
