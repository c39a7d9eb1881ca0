"""What commands have in common: options, where a run is, and how quiet libraries are."""

from __future__ import annotations

from typing import Any

import click

overriding = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting. Repeatable."
)
for_machines = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")


def dumped(value: Any) -> str:
    """A value as one line of JSON."""
    import json

    return json.dumps(value, ensure_ascii=False)


def quiet() -> None:
    """Keep libraries from writing over our own output; their errors still show."""
    import logging
    import os
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
