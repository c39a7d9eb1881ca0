"""Training as every stage does it: resumed from its checkpoints, and published when it is whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plad.config import Training
from plad.errors import DivergedError, PladError
from plad.losses import Loss
from plad.models.quantise import count
from plad.stages.context import Context
from plad.stages.models import publish_model, source_of
from plad.stages.room import told_what_helps, ways_to_train
from plad.stages.track import followed, tracked_id


def train_model(
    context: Context,
    name: str,
    model: Any,
    tokenizer: Any,
    loss: Loss,
    data: Mapping[str, Any],
    settings: Training,
    base: Path | None,
    purpose: str = "",
) -> dict[str, Any]:
    """Train, then publish the model.

    Args:
        base: the run's model that an adapter belongs to.
        purpose: what the random numbers are drawn for, where that is not `name`.
    """
    import torch

    from plad.training.memory import peak_memory
    from plad.training.run import train

    if settings.lora is not None:
        origin = f"../{base.name}" if base else str(getattr(model, "name_or_path", ""))
        with torch.random.fork_rng(devices=[]):
            # An adapter begins with random numbers, which must not depend on what this process did before.
            torch.manual_seed(context.seed(f"adapter {purpose or name}"))
            model = settings.lora.wrap(model, origin)
    # Before training, which may divide the model over processes.
    parameters, trainable = count(model), sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights: list[dict[str, Any]] = []
    with (
        followed(context, name, settings) as trackers,
        context.display.bar(f"training {name}", None) as advance,
        peak_memory() as peak,
    ):

        def show(done: int, total: int, logged: Mapping[str, float]) -> None:
            advance(done, {key: logged[key] for key in ("loss", "accuracy") if key in logged}, total)

        bits = getattr(source_of(context.recipe, name), "quantise", None)
        try:
            with told_what_helps(ways_to_train(settings, quantised=bool(bits))):
                summary = train(
                    model,
                    tokenizer,
                    data["train"],
                    loss,
                    settings,
                    context.workspace,
                    context.seed(f"train {purpose or name}"),
                    validation=data.get("validation"),
                    teacher=data.get("teacher"),
                    text=data.get("text"),
                    max_new_tokens=context.recipe.sample.max_new_tokens,
                    progress=show,
                    guard=data["guard"](model) if "guard" in data else None,
                    warn=lambda sentence: context.display.say(f"  {name}: {sentence}"),
                    gathered=weights.append,
                    trackers=trackers,
                )
        except PladError as error:
            raise type(error)(f"{name}: {error}") from error
    _check_finite(name, summary, settings)
    publish_model(context, model, tokenizer, name, *weights)
    summary |= {"trainable": trainable, "examples": len(data["train"])}
    summary |= {"tracked": tracked_id(context)} if settings.report_to else {}
    return summary | {"memory": peak[0], "parameters": parameters}


def _check_finite(name: str, summary: Mapping[str, Any], settings: Training) -> None:
    for key in ("loss", "eval_loss"):
        if not math.isfinite(summary.get(key, 0.0)):
            raise DivergedError(
                f"training must end with a finite loss, but the {key} of {name} is {summary[key]}: it diverged. "
                f"Lower its learning_rate, which is {settings.learning_rate:g}, or raise its warmup."
            )
