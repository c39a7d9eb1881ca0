"""Likelihood against quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plad.config import CalibrationCheck
from plad.evaluation.calibration import Calibration, calibration, curve
from plad.records import Generation, Prompt, ScoredSample, read_jsonl
from plad.runs import write_json, write_jsonl
from plad.stages.context import Context
from plad.stages.judge import judge_of, remembered
from plad.stages.likelihood import likelihoods
from plad.stages.sample import answer_prompts


def calibrate(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """Whether each model's likelihood ranks its own samples as the scorer does, the initial student's first."""
    settings = context.recipe.evaluate.calibration
    assert settings is not None
    prompts = context.asked()[: settings.prompts]
    found: dict[str, Calibration] = {}
    rows = []
    for name in names:
        samples = _samples(context, settings, name, prompts)
        write_jsonl(context.run.path("evaluation", "calibration", f"{name}.jsonl"), [s for row in samples for s in row])
        logps, scores = ([[getattr(s, what) for s in row] for row in samples] for what in ("logp", "score"))
        found[name] = calibration(logps, scores)
        seed = context.recipe.seed
        rows.append({"name": name, **found[name].to_json(seed), "curve": curve(logps, scores, seed)})
    before, after = found[names[0]], found[names[-1]]
    result = {
        "prompts": len(prompts),
        "samples": settings.samples,
        "scorer": (settings.scorer or context.recipe.evaluate.judge).type,
        "rows": rows,
        "change": after.change_from(before, context.recipe.seed),
    }
    write_json(context.run.path("evaluation", "calibration.json"), result)
    return {"n": len(prompts) * settings.samples}


def _samples(
    context: Context, settings: CalibrationCheck, name: str, prompts: Sequence[Prompt]
) -> list[list[ScoredSample]]:
    """Several samples of a model a prompt, each with its likelihood under that model and its quality."""
    target = context.workspace / f"samples-{name}.jsonl"
    update = {"temperature": settings.temperature, "samples": settings.samples}
    sampling = context.recipe.sample.model_copy(update=update)
    answer_prompts(context, name, prompts, sampling, target, f"calibration {name}")
    generations = list(read_jsonl(target, Generation))
    with (
        context.display.bar(f"scoring samples of {name}", None),
        remembered(context, settings.scorer or judge_of(context)) as scorer,
    ):
        asked = [prompt for prompt in prompts for _ in range(settings.samples)]
        scores = scorer.score(asked, [generation.response for generation in generations])
    rows = [slice(start, start + settings.samples) for start in range(0, len(asked), settings.samples)]
    answers = [[(one.response, one.finished) for one in generations[row]] for row in rows]
    logps = likelihoods(context, name, [prompt.prompt for prompt in prompts], answers)
    return [
        [
            ScoredSample(prompt.id, k, generation.response, logp, score)
            for k, (generation, logp, score) in enumerate(zip(generations[row], logp_K, scores[row], strict=True))
        ]
        for prompt, row, logp_K in zip(prompts, rows, logps, strict=True)
    ]
