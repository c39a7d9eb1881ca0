"""Another scorer on many machines, by Ray Data: each worker loads its model once and scores some of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from plad.generation.cluster import Cluster
from plad.records import Prompt
from plad.scoring.base import Progress, advance, check_aligned
from plad.scoring.bradley_terry import BradleyTerry
from plad.scoring.cached import CHUNK, Item, identity
from plad.scoring.embedding import Embedding
from plad.scoring.function import Function
from plad.scoring.length import Length
from plad.scoring.reward_model import RewardModel
from plad.scoring.rouge import Rouge

Local = Annotated[
    BradleyTerry | Embedding | Function | Length | RewardModel | Rouge,
    Field(discriminator="type"),
]


class RayScoring(Cluster):
    """Ray Data over `scorer`, whose scores are to the last bit those that it gives in one process.

    They are kept under its own name, so that one who scored on a cluster need not score again on a laptop.
    """

    type: Literal["ray"] = "ray"
    scorer: Local = Field(description="one that scores as it is; an LLM judge has a server to spread its work")

    @field_validator("scorer")
    @classmethod
    def _scores_as_it_is(cls, scorer: Any) -> Any:
        if isinstance(scorer, BradleyTerry) and scorer.folder is None:
            raise ValueError("must score as it is; give the `folder` of one that was trained (`plad train-reward`)")
        return scorer

    @property
    def description(self) -> str:
        """That of the scorer."""
        return self.scorer.description

    @property
    def identity(self) -> str:
        """That of the scorer: where it runs changes no score."""
        return identity(self.scorer)

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """One score a response.

        Raises:
            PladError: the numbers differ, or Ray isn't installed.
        """
        check_aligned(prompts, responses)
        asked = list(zip(prompts, responses, strict=True))
        chunks = [asked[start : start + CHUNK] for start in range(0, len(asked), CHUNK)]
        found = dict(self.score_chunks(chunks, progress))
        return [score for number in range(len(chunks)) for score in found[number]]

    def score_chunks(
        self, chunks: Sequence[Sequence[Item]], progress: Progress | None = None
    ) -> Iterator[tuple[int, list[float]]]:
        """The number of each chunk and its scores, in the order in which workers finish them.

        A chunk is scored whole by one worker, so that its batches, and with them the last digit, are those of one
        process.
        """
        self.connect("a scorer")
        # As text: a table's column can't hold plain prompts and conversations both.
        rows = [{"number": number, "asked": _as_text(chunk)} for number, chunk in enumerate(chunks)]
        # Its settings alone: what it has loaded here is not sent, but loaded by each worker.
        settings = (type(self.scorer), self.scorer.model_dump())
        for row in self.mapped(Worker, settings, rows):
            scores = list(map(float, json.loads(row["scores"])))
            advance(progress, len(scores))
            yield int(row["number"]), scores


class Worker:
    """The scorer in one of Ray's processes."""

    def __init__(self, kind: type[Any], settings: dict[str, Any]):
        self.scorer = kind(**settings)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score the answers of one chunk."""
        asked = json.loads(row["asked"])
        prompts = [Prompt.from_json(prompt) for prompt, _ in asked]
        scores = self.scorer.score(prompts, [response for _, response in asked])
        return {"number": row["number"], "scores": json.dumps(list(map(float, scores)))}


def _as_text(chunk: Sequence[Item]) -> str:
    return json.dumps([[prompt.to_json(), response] for prompt, response in chunk])
