"""What a loss that is no number was computed of, kept for a person to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.training.layout import Example


def keep_batch(path: Path, examples: Sequence[Example], tokenizer: Any) -> Path:
    """Write the examples of one step as JSON Lines: texts with their control tokens, and scores where there are some.

    Returns:
        `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(_readable(example, tokenizer), ensure_ascii=False) + "\n" for example in examples)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _readable(example: Example, tokenizer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prompt": tokenizer.decode(list(example.prompt)),
        "responses": [tokenizer.decode(list(ids)) for ids in example.responses],
    }
    beside = {"scores": example.scores, "reference_logps": example.reference_logps}
    return found | {name: list(values) for name, values in beside.items() if values is not None}
