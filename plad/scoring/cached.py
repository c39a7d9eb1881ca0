"""Any scorer, asked once for each prompt and response, and what tells one scorer from another."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plad import interrupt
from plad.errors import PladError
from plad.records import Prompt
from plad.scoring.base import Progress, Scorer, advance, check_aligned
from plad.scoring.store import ScoreStore, key

CHUNK = 1024
"""Responses scored and stored together. A chunk cut short is scored again whole, so that its batches stay the same."""

Item = tuple[Prompt, str]
"""A response and what it is to."""


class Cached:
    """A scorer that looks into a store before it scores, whoever filled the store."""

    def __init__(self, scorer: Scorer, store: ScoreStore):
        self.scorer, self.store, self._identity = scorer, store, identity(scorer)

    @property
    def description(self) -> str:
        """That of the scorer."""
        return self.scorer.description

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """One score a response; equal prompt, reference and response are scored once.

        Raises:
            PladError: a score is no finite number.
            KeyboardInterrupt: Ctrl-C was pressed; what was scored is kept.
        """
        check_aligned(prompts, responses)
        asked = list(zip(prompts, responses, strict=True))
        chunks = [asked[start : start + CHUNK] for start in range(0, len(asked), CHUNK)]
        if hasattr(self.scorer, "score_chunks"):
            return self._together(chunks, progress)
        return [score for chunk in chunks for score in self._chunk(chunk, progress)]

    def _together(self, chunks: Sequence[Sequence[Item]], progress: Progress | None) -> list[float]:
        """By a scorer that takes all chunks at once; each is kept as soon as it is there, and by this process alone."""
        keys = [self._keys(chunk) for chunk in chunks]
        known = self.store.find([name for names in keys for name in names])
        fresh, seen = [], set(known)
        for names, chunk in zip(keys, chunks, strict=True):
            new = {name: item for name, item in zip(names, chunk, strict=True) if name not in seen}
            seen |= new.keys()
            fresh += [new] if new else []
        advance(progress, sum(map(len, keys)) - sum(map(len, fresh)))
        scorer: Any = self.scorer
        for number, scores in scorer.score_chunks([list(new.values()) for new in fresh], progress):
            self._keep(known, fresh[number], scores)
        return [float(known[name]) for names in keys for name in names]

    def _chunk(self, asked: Sequence[Item], progress: Progress | None) -> list[float]:
        keys = self._keys(asked)
        known = self.store.find(keys)
        fresh = {name: item for name, item in zip(keys, asked, strict=True) if name not in known}
        advance(progress, len(asked) - len(fresh))
        if fresh:
            prompts, responses = zip(*fresh.values(), strict=True)
            self._keep(known, fresh, self.scorer.score(prompts, responses, progress))
        return [float(known[name]) for name in keys]

    def _keys(self, asked: Sequence[Item]) -> list[str]:
        # Some scorers look at the reference too.
        return [key(self._identity, prompt.prompt, prompt.reference, response) for prompt, response in asked]

    def _keep(self, known: dict[str, Any], fresh: Mapping[str, Item], scores: Sequence[float]) -> None:
        said = dict(zip(fresh, scores, strict=True))
        _check_numbers(self.scorer, said.values(), [response for _, response in fresh.values()])
        self.store.keep(said)
        known |= said
        interrupt.check()


def _check_numbers(scorer: Any, scores: Iterable[float], responses: Sequence[str]) -> None:
    """Refuse what would make every mean, every win and every pair that it is in meaningless."""
    for score, response in zip(scores, responses, strict=True):
        if not math.isfinite(score):
            raise PladError(
                f"a score must be a finite number, but {scorer.description} gave {score} to {response[:60]!r}. "
                "Try it in float32, or name another scorer."
            )


def identity(scorer: Any) -> str:
    """What determines a scorer's answers: its own word for it, or its class, its settings and the files they name."""
    own = getattr(scorer, "identity", None)
    if own is not None:
        return str(own)
    settings = scorer.model_dump(mode="json")
    paths = [Path(str(value)) for value in settings.values() if isinstance(value, str)]
    return json.dumps([type(scorer).__name__, settings, [describe_files(path) for path in paths]], sort_keys=True)


def describe_files(path: Path) -> list[list[Any]]:
    """Name, size and time of change of a folder's files: enough to notice another model in its place."""
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
    except OSError:  # a setting that is no path at all
        return []
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
