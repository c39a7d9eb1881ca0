"""Sources of prompts, their splits, and the preference pairs made from them."""

from __future__ import annotations

from plad.data.chitchat import Chitchat
from plad.data.debian import Debian
from plad.data.docstrings import Docstrings
from plad.data.hh import HH
from plad.data.hygiene import Hygiene
from plad.data.likeness import likeness
from plad.data.pairs import (
    Pairing,
    PairResult,
    by_chance,
    by_prompt,
    drawn,
    make_pairs,
    one_each,
    reorder,
)
from plad.data.source import Source, prompt_id
from plad.data.splits import Division, SplitData, Splits, divided, split
from plad.data.table import Table
from plad.data.tldr import TLDR

SOURCES: dict[str, type[Source]] = {
    "chitchat": Chitchat,
    "debian": Debian,
    "docstrings": Docstrings,
    "hh": HH,
    "table": Table,
    "tldr": TLDR,
}

__all__ = [
    "SOURCES",
    "Division",
    "Hygiene",
    "PairResult",
    "Pairing",
    "Source",
    "SplitData",
    "Splits",
    "by_chance",
    "by_prompt",
    "divided",
    "drawn",
    "likeness",
    "make_pairs",
    "one_each",
    "prompt_id",
    "reorder",
    "split",
]
