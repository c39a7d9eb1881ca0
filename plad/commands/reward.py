"""`plad train-reward`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from plad.commands.options import for_machines, overriding, quiet


@click.command("train-reward")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("reward"), show_default=True, help="New folder.")
@click.option("--head", type=click.Choice(["embedding", "classifier"]), default="embedding", show_default=True)
@click.option("--model", help="Sentence encoder, or the model that a classifier starts from: hub id or folder.")
@click.option("--held-out", type=float, default=0.1, show_default=True, help="Share of the prompts that judge it.")
@click.option("--seed", type=int, default=1, show_default=True)
@overriding
@for_machines
def train_reward(
    data: Path,
    out: Path,
    head: Any,
    model: str | None,
    held_out: float,
    seed: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a scorer on preference pairs (Bradley-Terry).

    DATA is a JSONL, CSV or Parquet file with the columns prompt, chosen and rejected, or a run folder with pairs.
    """
    quiet()
    import json

    from plad.config import parse_settings
    from plad.progress import choose_display
    from plad.rewarding import train_reward as train

    settings = parse_settings(overrides) | ({"model": model} if model else {})
    found = train(data, out, head, settings, held_out, seed, choose_display(as_json))
    if as_json:
        click.echo(json.dumps({"event": "results", **found}))
        return
    for row in found["accuracy"]:
        low, high = 100 * row["low"], 100 * row["high"]
        click.echo(f"right on {100 * row['value']:.1f} % ({low:.1f}–{high:.1f}) of {row['n']} held-out: {row['kind']}")
    click.echo(f"use it: --set 'evaluate.judge={json.dumps(found['recipe'])}'")
