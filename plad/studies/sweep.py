"""The settings of each method, chosen on the validation split by a search of the same budget for all.

All trials are students of one run folder, so that they share data, fine-tuned models, answers, pairs and judge, and a
search that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.methods import Method
from plad.pipeline import run
from plad.progress import Display
from plad.runs import fingerprint, write_json
from plad.studies.cells import others

RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-5, 1e-3),
    "margin": (0.1, 10),
    "beta": (0.03, 3),
    "tau": (0.03, 3),
    "gamma": (0.1, 3),
    "weight": (0.03, 3),
    "temperature": (0.5, 4),
}
"""Where each setting is looked for, on a logarithmic scale; a method has some of them. GKD's β ends below 1."""

WEIGHTS = {"anchor": (0.0, 2.0)}
"""Those that may be 0, on a linear scale."""

CHOICES = {"batch_size": (8, 16, 32), "lora_rank": (4, 8, 16, 32)}
"""Those that are one of a few. A rank is searched where the student learns through LoRA."""

Settings = Mapping[str, float]


def sweep(recipe: Recipe, folder: Path, trials: int, display: Display) -> Recipe:
    """The recipe with every method's best settings; sweep.json in the folder has all that were tried.

    A trial is judged by its win rate over the initial student on the validation split. The first is the recipe's own.

    Raises:
        PladError: Optuna is not installed, or what a run raises.
    """
    record, mark = folder / "sweep.json", fingerprint([recipe.model_dump(mode="json"), trials])
    found = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    if found.get("recipe") != mark:
        tried = _search(recipe, folder / "sweep", trials, display)
        found = {"recipe": mark, "trials": tried, "chosen": {name: _best(each) for name, each in tried.items()}}
        write_json(record, found)
    return _with(
        recipe, {name: apply_settings(recipe, recipe.methods[name], best) for name, best in found["chosen"].items()}
    )


def _search(recipe: Recipe, folder: Path, trials: int, display: Display) -> dict[str, list[dict[str, Any]]]:
    studies = {name: _study(recipe, method) for name, method in recipe.methods.items()}
    tried: dict[str, list[dict[str, Any]]] = {name: [] for name in studies}
    students: dict[str, Method] = {}
    for k in range(trials):
        asked = {name: study.ask() for name, study in studies.items()}
        for name, trial in asked.items():
            settings = _suggested(trial, recipe, name)
            tried[name].append({"settings": settings})
            students[f"{name}.{k}"] = apply_settings(recipe, recipe.methods[name], settings)
        display.say(f"trial {k + 1} of {trials}, of every method")
        values = _values(recipe, students, folder, display)
        for name, trial in asked.items():
            tried[name][k]["value"] = values[f"{name}.{k}"]
            studies[name].tell(trial, values[f"{name}.{k}"])
    return tried


def optuna_or_refusal(what: str) -> Any:
    """Optuna, which `what` needs.

    Raises:
        PladError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise PladError(f"{what} needs Optuna. Run: pip install 'plad[study]'") from None
    return optuna


def _study(recipe: Recipe, method: Method) -> Any:
    optuna = optuna_or_refusal("--trials")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=recipe.seed))
    study.enqueue_trial(dict(own_settings(recipe, method)))
    return study


def _suggested(trial: Any, recipe: Recipe, name: str) -> dict[str, float]:
    own = own_settings(recipe, recipe.methods[name])
    found = {key: trial.suggest_float(key, *ends, log=True) for key, ends in ranges(recipe, name).items()}
    for key, (low, high) in WEIGHTS.items():
        if key in own:
            found[key] = trial.suggest_float(key, low, max(high, own[key]))
    for key, options in CHOICES.items():
        if key in own:
            found[key] = trial.suggest_categorical(key, sorted({*options, own[key]}))
    return found


def _values(recipe: Recipe, students: Mapping[str, Method], folder: Path, display: Display) -> dict[str, float]:
    """The win rate of each student over the initial one, on the validation split."""
    evaluate = recipe.evaluate.model_copy(update={"split": "validation"})
    once = recipe.distill.model_copy(update={"rounds": 1})
    trials = recipe.model_copy(update={"baselines": dict(students), "evaluate": evaluate, "distill": once})
    done = run(trials, folder, display, beside=others(folder))
    rows = json.loads(done.path("evaluation", "results.json").read_text(encoding="utf-8"))["rows"]
    return {row["name"]: float(row["against_initial"]["value"]) for row in rows if row["against_initial"]}


def ranges(recipe: Recipe, name: str) -> dict[str, tuple[float, float]]:
    """What is searched for a method; the recipe's own value is always within."""
    own = own_settings(recipe, recipe.methods[name])
    ends = {key: RANGES[key] for key in own if key in RANGES}
    if recipe.methods[name].type == "gkd":  # type: ignore[attr-defined]
        ends["beta"] = (0.03, 0.97)
    return {key: (min(low, own[key]), max(high, own[key])) for key, (low, high) in ends.items()}


def own_settings(recipe: Recipe, method: Method) -> Settings:
    """The recipe's values of what is searched; on a logarithmic scale those above zero alone."""
    settings = recipe.distill.settings_of(method)
    values = {**method.objective(recipe.distill.loss).model_dump(), **method.model_dump()}
    values |= {"learning_rate": settings.learning_rate, "batch_size": settings.batch_size}
    values["lora_rank"] = settings.lora.r if settings.lora else None
    found = {key: values[key] for key in (*RANGES, *CHOICES) if values.get(key)}
    return found | {key: values[key] for key in WEIGHTS if values.get(key) is not None}


def apply_settings(recipe: Recipe, method: Method, settings: Settings) -> Method:
    """The method with these settings, of its own or of its loss."""
    inside = {key: value for key, value in settings.items() if key not in type(method).model_fields}
    changed: dict[str, Any] = {key: value for key, value in settings.items() if key not in inside}
    if inside:
        changed["loss"] = method.objective(recipe.distill.loss).model_copy(update=inside)
    return method.model_copy(update=changed)


def _best(tried: list[dict[str, Any]]) -> Settings:
    """The first of the best: of equals, the one that is nearer to the recipe."""
    best: Settings = max(tried, key=lambda trial: trial["value"])["settings"]
    return best


def _with(recipe: Recipe, methods: Mapping[str, Method]) -> Recipe:
    *_, subject = recipe.methods
    distill = recipe.distill.model_copy(update={"method": methods[subject]})
    return recipe.model_copy(update={"distill": distill, "baselines": {**recipe.baselines, **methods}})
