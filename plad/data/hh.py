"""Anthropic-HH: a conversation with an assistant and its preferred next turn (Bai et al., arXiv 2204.05862)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Literal

from plad.data.source import Source, example
from plad.data.table import Table, cell, text_cell
from plad.errors import PladError
from plad.records import Prompt

_log = logging.getLogger(__name__)
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


class HH(Source):
    """Conversation → preferred reply, from the `chosen` column of the hub's data set or of local files (`path`)."""

    type: Literal["hh"] = "hh"
    path: str | None = None
    hub: str = "Anthropic/hh-rlhf"
    data_dir: str | None = "helpful-base"
    split: str = "train"
    revision: str | None = None
    streaming: bool = False

    def prompts(self) -> Iterator[Prompt]:
        """Yield one example a transcript; those that don't run from a human's turn to the assistant's are skipped.

        Raises:
            PladError: the data can't be loaded, has no `chosen` column, or no usable transcript.
        """
        origin = (
            {"path": self.path} if self.path else self.model_dump(include={"hub", "data_dir", "revision", "streaming"})
        )
        kept = skipped = 0
        for place, row in Table(**origin, split=self.split).rows():
            parsed = parse(text_cell(place, "chosen", cell(place, row, "chosen")))
            kept, skipped = kept + (parsed is not None), skipped + (parsed is None)
            if parsed is not None:
                yield parsed
        if skipped:
            _log.warning("%s: skipped %d of %d transcripts", self.path or self.hub, skipped, kept + skipped)
        if not kept:
            raise PladError(
                f"{self.path or self.hub} holds no example: a transcript must read "
                "'\\n\\nHuman: …\\n\\nAssistant: …', "
                f"but 0 of {skipped} do. Check `path`, `data_dir` and `split`."
            )


def parse(transcript: str) -> Prompt | None:
    """The example in a transcript, or None where it isn't a human's turn first and the assistant's last.

    Consecutive turns of one speaker are joined, since chat templates want roles to alternate.
    """
    _, *parts = _TURN.split(transcript)
    turns = [(_ROLES[name], text.strip()) for name, text in zip(parts[::2], parts[1::2], strict=True)]
    joined = [
        {"role": role, "content": "\n\n".join(text for _, text in group)}
        for role, group in groupby((turn for turn in turns if turn[1]), key=lambda turn: turn[0])
    ]
    if len(joined) < 2 or joined[0]["role"] != "user" or turns[-1][0] != "assistant" or not turns[-1][1]:
        return None
    return example(tuple(joined[:-1]), joined[-1]["content"])
