"""Preference pairs of any table, or of a run: prompt, chosen, rejected."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plad.data.rows import read_path
from plad.data.source import prompt_id
from plad.data.table import cell, prompt_cell, text_cell
from plad.errors import PladError
from plad.records import PreferencePair, as_text, read_jsonl


def read_preferences(path: Path) -> list[PreferencePair]:
    """The pairs of a run folder (its pairs.jsonl), or of a table with the columns prompt, chosen and rejected.

    A prompt is text or a list of messages; a response is text, or a list of messages of which the last counts.

    Raises:
        PladError: there is no such table, a column is missing, or a cell holds no text.
    """
    if (path / "recipe.yaml").is_file():
        if not (path / "pairs.jsonl").is_file():
            raise PladError(f"{path} is a run without pairs.jsonl. Run `plad pair {path}` first.")
        return list(read_jsonl(path / "pairs.jsonl", PreferencePair))
    pairs = [_pair(place, row) for place, row in read_path(path)]
    if not pairs:
        raise PladError(f"{path} holds no preference, but training needs some.")
    return pairs


def hold_out(
    pairs: Sequence[PreferencePair], share: float, seed: int
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Divide by prompt, so that no prompt is on both sides: what to train on, and about `share` of the prompts apart.

    Raises:
        PladError: `share` isn't between 0 and 1, or there are fewer than two prompts.
    """
    texts = sorted({as_text(pair.prompt) for pair in pairs}, key=lambda text: _rank(text, seed))
    if not 0 < share < 1:
        raise PladError(f"the share held out must be between 0 and 1, but is {share}.")
    if len(texts) < 2:
        raise PladError(f"holding some out needs two prompts or more, but there are {len(texts)}.")
    apart = set(texts[: min(len(texts) - 1, max(1, round(share * len(texts))))])
    sides: tuple[list[PreferencePair], list[PreferencePair]] = ([], [])
    for pair in pairs:
        sides[as_text(pair.prompt) in apart].append(pair)
    return sides


def _pair(place: str, row: Mapping[str, Any]) -> PreferencePair:
    prompt = prompt_cell(place, "prompt", cell(place, row, "prompt"))
    chosen, rejected = (_response(place, name, cell(place, row, name)) for name in ("chosen", "rejected"))
    return PreferencePair(prompt_id(prompt), prompt, chosen, rejected)


def _response(place: str, column: str, value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        return text_cell(place, f"{column}[-1].content", value[-1].get("content"))
    return text_cell(place, column, value)


def _rank(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"hold out\n{seed}\n{text}".encode()).digest()
