"""Whether what was loaded is whole and belongs together."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plad.errors import PladError


@contextmanager
def readable(what: str, remedy: str) -> Iterator[None]:
    """Turn the many errors of files that hold no model, or half of one, into ours; each library raises its own.

    Raises:
        PladError: something within could not be read.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "out of memory" in str(error):
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise PladError(f"{what} does not load: {reason}. {remedy}") from error


def check_fits(tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer that makes ids which a model has no row for.

    Raises:
        PladError: with both numbers.
    """
    highest, rows = max(tokenizer.get_vocab().values()), model.get_input_embeddings().weight.shape[0]
    if highest >= rows:
        raise PladError(
            f"a tokenizer's ids must be rows of the model's embedding, but that of {model.name_or_path} goes up to "
            f"{highest} and the model has {rows} rows. They are of two models: take the tokenizer that the model "
            "was trained with."
        )
