"""A model's answers judged: by score, or by a pairwise judge against the reference and the initial student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plad.generation import OpenAI
from plad.records import Prompt, Score
from plad.scoring.cached import Cached
from plad.scoring.store import ScoreStore
from plad.scoring.verdict import TIE, Verdict


@dataclass(frozen=True)
class Judgement:
    """One `Score` a prompt, and the verdicts behind them, by opponent, where the judge is pairwise."""

    scores: list[Score]
    verdicts: Mapping[str, list[Verdict]] = field(default_factory=dict)


def remembering(scorer: Any, store: ScoreStore) -> Any:
    """`scorer` with a memory: what is in `store` is not scored, or asked, again."""
    own = getattr(scorer, "remembering", None)
    return own(store) if own else Cached(scorer, store)


def judge_answers(
    scorer: Any, prompts: Sequence[Prompt], answers: Sequence[str], initial: Sequence[str] | None = None
) -> Judgement:
    """Judge the answers to prompts with references.

    Args:
        initial: what a pairwise judge compares them with besides the references.
    """
    references = [prompt.reference or "" for prompt in prompts]
    if not is_pairwise(scorer):
        both = zip(prompts, scorer.score(prompts, answers), scorer.score(prompts, references), strict=True)
        return Judgement([Score(prompt.id, ours, theirs) for prompt, ours, theirs in both])
    against = {"reference": references} | ({} if initial is None else {"student": initial})
    verdicts = {who: scorer.compare(prompts, answers, theirs) for who, theirs in against.items()}
    direct = [verdict.outcome for verdict in verdicts["student"]] if "student" in verdicts else [None] * len(prompts)
    rows = zip(prompts, verdicts["reference"], direct, strict=True)
    return Judgement([Score(prompt.id, verdict.outcome, TIE, one) for prompt, verdict, one in rows], verdicts)


def is_pairwise(scorer: Any) -> bool:
    """Whether it compares two answers, as opposed to scoring one."""
    return hasattr(scorer, "compare")


def needs_training(scorer: Any) -> bool:
    """Whether it scores only after training, which has not been."""
    return hasattr(scorer, "train_on") and getattr(scorer, "folder", None) is None


def same_model(one: Any, other: Any) -> bool:
    """Whether two scorers are of one kind and ask one model: what the second says, the first has said already."""
    names = ("model", "folder", "path")
    one, other = (getattr(scorer, "scorer", scorer) for scorer in (one, other))  # wherever its work is done
    return one.type == other.type and all(getattr(one, name, None) == getattr(other, name, None) for name in names)


def paid_for(scorer: Any) -> bool:
    """Whether each answer it judges costs money, so that none is asked for as a mere trial."""
    return isinstance(getattr(scorer, "model", None), OpenAI)
