"""`plad cache`."""

from __future__ import annotations

import click

from plad.commands.options import for_machines
from plad.errors import PladError


@click.group()
def cache() -> None:
    """The store of all generations that runs share: PLAD_CACHE, or ~/.cache/plad."""


@cache.command("list")
@for_machines
def cache_list(as_json: bool) -> None:
    """Whose generations are kept, the model used last first."""
    import json
    from dataclasses import asdict

    from plad.generation.store import Store, shown

    store = Store()
    entries = store.entries()
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries]))
        return
    click.echo(f"{store.path}: {sum(entry.generations for entry in entries):,} generations of {len(entries)} models")
    for entry in entries:
        click.echo(shown(entry))


@cache.command("verify")
@click.option("--mend", is_flag=True, help="Remove what is damaged, so that it is generated again.")
def cache_verify(mend: bool) -> None:
    """Read every generation, and compare it with the checksum that was written beside it."""
    from plad.generation.store import Store

    store = Store()
    damaged = store.damaged()
    if damaged and not mend:
        raise PladError(f"{len(damaged)} generations in {store.path} are damaged. Remove them with --mend.")
    removed = store.prune(keys=damaged)
    click.echo(f"{store.path}: {f'removed {removed} damaged generations' if removed else 'nothing is damaged'}.")


@cache.command("prune")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was made before that.")
@click.option("--model", metavar="ID", help="Remove this model's, by its id in `plad cache list`.")
@click.option("--all", "everything", is_flag=True, help="Remove all of it.")
def cache_prune(older_than: float | None, model: str | None, everything: bool) -> None:
    """Remove generations. Finished runs keep their files; what is asked for again must be generated again."""
    import time

    from plad.generation.store import Store

    if older_than is None and model is None and not everything:
        raise PladError("prune needs to know what to remove. Give --older-than, --model or --all.")
    store = Store()
    before = time.time() - 86400 * older_than if older_than is not None else float("inf")
    click.echo(f"{store.path}: removed {store.prune(before=before, model=model):,} generations.")
