"""`plad train-reward`: a scorer from preference pairs, and how often it is right on prompts that it never saw."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from plad.data.preferences import hold_out, read_preferences
from plad.errors import PladError
from plad.progress import Display
from plad.records import PreferencePair
from plad.runs import publish
from plad.scoring.bradley_terry import BradleyTerry
from plad.scoring.reward_training import RewardTraining

Head = Literal["embedding", "classifier"]


def train_reward(
    data: Path, folder: Path, head: Head, settings: Mapping[str, Any], held_out: float, seed: int, display: Display
) -> dict[str, Any]:
    """Train on the pairs of `data`, a table or a run, and put the scorer into `folder`, whole or not at all.

    A classifier's training that was stopped goes on from its last checkpoint, beside `folder`; a head over frozen
    embeddings takes seconds once they are there, and begins anew.

    Args:
        head: `embedding`, a small head over frozen sentence embeddings, or `classifier`, a model trained whole.
        settings: of `BradleyTerry` or of `RewardTraining`.
        held_out: share of the prompts that judge the scorer.

    Returns:
        `accuracy`, as scorers report it, `pairs` on each side, and `recipe`, what names the scorer in one.

    Raises:
        PladError: the data is no preferences, a setting is wrong, or the folder is there already.
    """
    if folder.exists():
        raise PladError(f"{folder} is there already. Choose another with --out, or remove it.")
    trainer = _trainer(head, {**settings, "seed": seed})
    training, apart = hold_out(read_preferences(data), held_out, seed)
    partial, workspace = (folder.with_name(f".{folder.name}.{what}") for what in ("partial", "work"))
    shutil.rmtree(partial, ignore_errors=True)
    with display.bar(f"training on {len(training)} pairs", None) as advance:
        done = [0]

        def more(count: int) -> None:
            done[0] += count
            advance(done[0], {})

        accuracy = _train(trainer, partial, training, apart, more, workspace)
    publish(partial, folder)
    shutil.rmtree(workspace, ignore_errors=True)
    named = {"type": "bradley_terry", "folder": str(folder)}
    recipe = named if head == "embedding" else {"type": "reward_model", "model": str(folder)}
    return {"accuracy": accuracy, "pairs": {"train": len(training), "held_out": len(apart)}, "recipe": recipe}


def _train(
    trainer: BradleyTerry | RewardTraining,
    folder: Path,
    training: Sequence[PreferencePair],
    apart: Sequence[PreferencePair],
    progress: Any,
    workspace: Path,
) -> list[Any]:
    if isinstance(trainer, RewardTraining):
        return trainer.train_to(folder, training, apart, progress, workspace)
    scorer = trainer.train(training, apart, progress)
    scorer.save(folder)
    return list(scorer.accuracy)


def _trainer(head: Head, settings: Mapping[str, Any]) -> BradleyTerry | RewardTraining:
    kind: type[BradleyTerry] | type[RewardTraining] = BradleyTerry if head == "embedding" else RewardTraining
    try:
        return kind(**settings)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise PladError(f"train-reward: {place}: {problem['msg']}. Known: {', '.join(kind.model_fields)}.") from None
