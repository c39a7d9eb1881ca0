"""ROUGE F1 against the reference (Lin 2004), by the `rouge-score` package with Porter stemming."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from plad.records import Prompt
from plad.scoring.base import Progress, advance, check_aligned, references
from plad.spec import Spec

METRICS = ("rouge1", "rouge2", "rougeL")


def rouge_scores(response: str, reference: str) -> dict[str, float]:
    """F1 of ROUGE-1, -2 and -L, each in [0, 1]; 0 where either text has no word."""
    return {name: float(score.fmeasure) for name, score in _scorer(METRICS).score(reference, response).items()}


class Rouge(Spec):
    """ROUGE F1 of the response against the reference, in [0, 1]. An empty response scores 0."""

    type: Literal["rouge"] = "rouge"
    metric: Literal["rouge1", "rouge2", "rougeL"] = "rougeL"

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"{self.metric.replace('rouge', 'ROUGE-')} F1 against the reference, stemmed"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """The F1 of each response.

        Raises:
            PladError: the numbers differ, or a reference is missing.
        """
        check_aligned(prompts, responses)
        scorer, scores = _scorer((self.metric,)), []
        for response, reference in zip(responses, references(prompts, "ROUGE"), strict=True):
            scores.append(float(scorer.score(reference, response)[self.metric].fmeasure))
            advance(progress, 1)
        return scores


@cache
def _scorer(metrics: tuple[str, ...]) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(metrics), use_stemmer=True)
