"""What commands have in common: options, where a run is, and how quiet libraries are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class RunPath(click.ParamType):
    """A run folder or a recipe: a path, or an URL, which stays a string."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path, or the URL."""
        from plad.urls import is_url

        return str(value) if is_url(value) else Path(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> Any:
        """The shell's own completion of files."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


def to_look_at(run: Path | str) -> Path:
    """A run's folder; of one behind an URL a copy that is enough to look at it."""
    if isinstance(run, Path):
        return run
    from plad.remote import looked_at

    return looked_at(run)


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
    # Wherever it is installed, it speaks at import of a kernel that only a model hub has.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
