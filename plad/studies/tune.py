"""A better recipe within a budget of time: settings tried on the validation split, and what mattered among them.

A trial is a run of its own, which shares with the others all that its settings do not determine: data, fine-tuned
models, answers, pairs, scores, judge. It is first trained for a quarter of its steps; one that is then below the median
of those before it ends there (the median stopping rule of Golovin et al. 2017). trials.json says what was tried, so
that the same command goes on with what is left of the budget.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from plad.config import Recipe
from plad.errors import DivergedError, PladError
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean, paired_difference
from plad.pipeline import run
from plad.progress import Display
from plad.records import EvalRow, read_jsonl
from plad.runs import fingerprint, write_json
from plad.studies.cells import others
from plad.studies.sweep import WEIGHTS, apply_settings, optuna_or_refusal, own_settings, ranges

TEMPERATURE = "sample.temperature"
TEMPERATURES = (0.5, 0.7, 1.0)
"""Of the answers that pairs are made of. Few, for each is answered once and then reused."""

SHORT = 0.25
"""The share of a trial's steps after which it may end."""
STARTUP = 3
"""Trials before any ends early, and before any is chosen by what the others showed."""
FEWEST = 8
"""Whole trials that say something of what mattered."""

Trial = dict[str, Any]
"""`settings`; `short` and `value`, win rates after a quarter of the steps and after all (None where it ended early);
`outcomes` of the latter, a prompt each; `diverged`; `seconds`."""


def tune(recipe: Recipe, folder: Path, budget: float, display: Display, trials: int | None = None) -> dict[str, Any]:
    """Try settings until the budget is spent, and write recipe.yaml, tune.html, .md, .svg and .json into the folder.

    The recipe's own settings are tried first. Chosen is what wins most often over the initial student on the validation
    split; the test split is never looked at.

    Args:
        budget: seconds, those of earlier calls for the same recipe included.
        trials: the most to try; None for as many as there is time for.

    Returns:
        What tune.json holds: `trials`, the place of the `best`, its `gain` over the recipe's own, paired by prompt
        (None where that is the best), and `importance`, a share a setting, once there are enough trials to tell.

    Raises:
        PladError: Optuna is not installed, every training diverged, or what a run raises.
    """
    from plad.studies.tune_page import write_pages

    optuna_or_refusal("plad tune")
    record, mark = folder / "trials.json", fingerprint(recipe.model_dump(mode="json"))
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    tried: list[Trial] = known["trials"] if known.get("recipe") == mark else []
    while _goes_on(tried, budget, trials):
        tried.append(_trial(recipe, folder / "trials", tried, display))
        write_json(record, {"recipe": mark, "trials": tried})
    found = _found(recipe, tried)
    write_pages(found, with_settings(recipe, tried[found["best"]]["settings"]), folder)
    return found


def space(recipe: Recipe) -> dict[str, Any]:
    """What is searched: Optuna's distribution of each setting. The recipe's own value is always within."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    *_, name = recipe.methods
    own = own_settings(recipe, recipe.methods[name])
    found: dict[str, Any] = {key: FloatDistribution(*ends, log=True) for key, ends in ranges(recipe, name).items()}
    for key, (low, high) in WEIGHTS.items():
        if key in own:
            found[key] = FloatDistribution(low, max(high, own[key]))
    # A teacher of which only text is seen would have to be paid for again, or has nothing else to say.
    if not recipe.teacher.text_only:
        found[TEMPERATURE] = CategoricalDistribution(sorted({*TEMPERATURES, recipe.sample.temperature}))
    return found


def with_settings(recipe: Recipe, settings: Mapping[str, float]) -> Recipe:
    """The recipe with these settings in place of its own. Models are evaluated as before, whatever the temperature."""
    *_, name = recipe.methods
    inside = {key: value for key, value in settings.items() if key != TEMPERATURE}
    method = apply_settings(recipe, recipe.methods[name], inside)
    changed = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"method": method})})
    if (temperature := settings.get(TEMPERATURE, recipe.sample.temperature)) == recipe.sample.temperature:
        return changed
    sample = recipe.sample.model_copy(update={"temperature": temperature})
    evaluate = recipe.evaluate.model_copy(update={"sampling": recipe.evaluate.sampling or recipe.sample})
    return changed.model_copy(update={"sample": sample, "evaluate": evaluate})


def _goes_on(tried: Sequence[Trial], budget: float, most: int | None) -> bool:
    """While there is time for one more of the usual length; the first has work in it that the others share."""
    if not tried:
        return True
    usual = median(trial["seconds"] for trial in tried[1:] or tried)
    return sum(trial["seconds"] for trial in tried) + usual <= budget and (most is None or len(tried) < most)


def _trial(recipe: Recipe, folder: Path, tried: Sequence[Trial], display: Display) -> Trial:
    """One more trial: short, and then whole unless it is among the worse half."""
    started, number = time.monotonic(), len(tried)
    settings = _asked(recipe, tried)
    told = ", ".join(f"{key} {value:.3g}" for key, value in settings.items())
    display.say(f"trial {number + 1}: {told}")
    trial: Trial = {"settings": settings, "short": None, "value": None, "outcomes": None, "diverged": False}
    wanted = _lean(with_settings(recipe, settings), (folder / "001-short" / "judge").resolve())
    try:
        trial["short"] = float(_outcomes(_shortened(wanted), folder / f"{number + 1:03}-short", display).mean())
        if not _worse(trial["short"], tried):
            outcomes = _outcomes(wanted, folder / f"{number + 1:03}", display)
            trial |= {"value": float(outcomes.mean()), "outcomes": outcomes.tolist()}
    except DivergedError as error:
        display.say(f"  {error}")
        trial["diverged"] = True
    said = f"{100 * trial['value']:.1f} % over the initial student" if trial["value"] is not None else "ended early"
    display.say(f"  trial {number + 1}: {said}")
    return trial | {"seconds": round(time.monotonic() - started, 1)}


def _worse(short: float, tried: Sequence[Trial]) -> bool:
    """Whether a beginning is below the median of those of whole trials."""
    before = [trial["short"] for trial in tried if trial["value"] is not None]
    return len(before) >= STARTUP and short < median(before)


def _asked(recipe: Recipe, tried: Sequence[Trial]) -> dict[str, float]:
    """The recipe's own settings, and then what the trials so far suggest: the same for the same trials."""
    *_, name = recipe.methods
    if not tried:
        own = {**own_settings(recipe, recipe.methods[name]), TEMPERATURE: recipe.sample.temperature}
        return {key: own[key] for key in space(recipe)}
    return dict(_study(recipe, tried).ask(fixed_distributions=space(recipe)).params)


def _study(recipe: Recipe, tried: Sequence[Trial]) -> Any:
    """Optuna's study of the trials so far."""
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(tried), n_startup_trials=STARTUP)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in tried:
        about: dict[str, Any] = {"params": trial["settings"], "distributions": space(recipe)}
        if trial["value"] is None and not trial["diverged"]:
            about |= {"state": TrialState.PRUNED, "intermediate_values": {1: trial["short"]}}
            study.add_trial(create_trial(**about))
        else:
            study.add_trial(create_trial(**about, value=trial["value"] or 0.0))
    return study


def _lean(recipe: Recipe, judge: Path) -> Recipe:
    """A run that trains its subject alone, and is judged on the validation split by nobody but the judge.

    Args:
        judge: the folder of the one that the first trial trained, where it is to be trained: it learns from answers at
            the recipe's temperature, and all trials are to meet the same.
    """
    update: dict[str, Any] = {"split": "validation", "calibration": None, "also": ()}
    if recipe.evaluate.trains_judge and judge.is_dir():
        update["judge"] = recipe.evaluate.judge.model_copy(update={"folder": judge})
    distill = recipe.distill.model_copy(update={"rounds": 1})
    evaluate = recipe.evaluate.model_copy(update=update)
    none = {"sft": None, "seqkd": None}
    return recipe.model_copy(update={"baselines": none, "evaluate": evaluate, "distill": distill})


def _shortened(recipe: Recipe) -> Recipe:
    distill = recipe.distill
    if distill.max_steps:
        less: dict[str, Any] = {"max_steps": max(1, round(SHORT * distill.max_steps))}
    else:
        less = {"epochs": SHORT * distill.epochs}
    return recipe.model_copy(update={"distill": distill.model_copy(update=less)})


def _outcomes(recipe: Recipe, folder: Path, display: Display) -> Any:
    """Of the student over the initial one, a prompt each."""
    done = run(recipe, folder, display, beside=others(folder))
    *_, name = recipe.methods
    rows, before = (list(read_jsonl(done.path("evaluation", f"{model}.jsonl"), EvalRow)) for model in (name, "student"))
    return outcomes_against(rows, before)


def _found(recipe: Recipe, tried: Sequence[Trial]) -> dict[str, Any]:
    whole = [place for place, trial in enumerate(tried) if trial["value"] is not None]
    if not whole:
        raise PladError(
            f"tuning needs a training that ends, but all {len(tried)} diverged. Lower distill.learning_rate."
        )
    best = max(whole, key=lambda place: tried[place]["value"])  # of equals the first
    own = tried[0]["outcomes"]
    gain = paired_difference(tried[best]["outcomes"], own, recipe.seed).to_json() if best and own else None
    told = [
        {key: value for key, value in trial.items() if key != "outcomes"}
        | {"estimate": mean(trial["outcomes"], recipe.seed).to_json() if trial["outcomes"] else None}
        for trial in tried
    ]
    return {"best": best, "gain": gain, "importance": _importance(recipe, tried), "trials": told}


def _importance(recipe: Recipe, tried: Sequence[Trial]) -> dict[str, float]:
    """How much of the difference between good and bad trials each setting explains (PED-ANOVA, arXiv 2304.10255)."""
    import warnings

    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if sum(trial["value"] is not None for trial in tried) < FEWEST:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls it experimental
        return dict(get_param_importances(_study(recipe, tried), evaluator=PedAnovaImportanceEvaluator()))
