"""What of a recipe determines which task: settings that change no output are left out, and so are those of no say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.methods import Method
from plad.runs import describe_path
from plad.urls import Remote, is_url

CHOICES = ("positives", "negatives")
"""Settings of pairs that choose among several answers."""


LATER = {"guard": None, "max_flops": None, "keep": "last", "anchor": 0.0, "of": "subject"}
"""Settings of distillation, of methods and of calibration that came later, and the values at which they have no say."""


def determining(data: dict[str, Any]) -> dict[str, Any]:
    """A recipe without what changes no answer: how hard a server is pressed, what it may cost, and who follows.

    Left out is also how many answers the teacher gives, which its training does not depend on, and what recipes that
    were run before did not have, where it has no say.
    """
    apart = ("limits", "price", "budget")
    model = {key: value for key, value in _held(data["teacher"]["model"]).items() if key not in apart}
    teacher = {key: value for key, value in data["teacher"].items() if key not in ("samples", "prompt")}
    student = data["student"] | {"model": _held(data["student"]["model"])}
    chosen = {key: value for key, value in data["pairs"].items() if key not in CHOICES or value != "first"}
    if chosen["audit"] is None:
        del chosen["audit"]
    prompts = {"prompt": _as_shown(data["prompt"]), "teacher_prompt": _as_shown(data["teacher"]["prompt"])}
    data = data | {"teacher": teacher | {"model": model}, "student": student, "pairs": chosen, **prompts}
    data["distill"] = data["distill"] | {"report_to": []}
    for name in ("teacher", "student"):
        if data[name]["sft"]:
            data[name] = data[name] | {"sft": data[name]["sft"] | {"report_to": []}}
    return data


def _as_shown(prompt: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How a model is shown prompts, without examples where there are none."""
    if prompt is None:
        return None
    return {key: value for key, value in prompt.items() if key != "examples" or value}


def prompt_of(data: Mapping[str, Any], name: str) -> Any:
    """How a model is shown prompts."""
    return (data["teacher_prompt"] if name == "teacher" else None) or data["prompt"]


def own_prompt(data: Mapping[str, Any]) -> dict[str, Any]:
    """The teacher's own way to be asked, where it has one."""
    return {"teacher_prompt": data["teacher_prompt"]} if data["teacher_prompt"] else {}


def _held(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings, without how its weights are held where that is as they are."""
    return {key: value for key, value in model.items() if key != "quantise" or value is not None}


def pairing(recipe: Recipe, data: Mapping[str, Any]) -> dict[str, Any]:
    """What pairs depend on beside the answers that they are made of."""
    pairs = data["pairs"]
    settings = {"pairs": pairs if recipe.scores_pairs else None, "hygiene": pairs["hygiene"]}
    settings |= {key: pairs[key] for key in CHOICES if key in pairs} | share_of(data)
    if "audit" in pairs:
        settings["audit"] = pairs["audit"] | {"scorer": pairs["audit"]["scorer"] or pairs["scorer"]}
    return settings | ({"normalise": normalised_by(data)} if pairs.get("negatives") == "hardest" else {})


def share_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The share of the distillation half that is learnt from, where it is not all."""
    share = data["distill"]["share"]
    return {} if share == 1 else {"share": share}


def caps(data: Mapping[str, Any], *splits: str) -> dict[str, Any]:
    """How many prompts the splits that a task reads keep at most, where they keep not all.

    A cap determines its own split, so that `prepare` hands none of them on. A task names those of the splits that it is
    the first to read: what follows it depends on them by its fingerprint.
    """
    found = {name: cap for name in splits if (cap := data["task"]["splits"][f"max_{name}"]) is not None}
    return {"at_most": found} if found else {}


def without_caps(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task whose splits keep all."""
    return {**task, "splits": {key: None if key.startswith("max_") else value for key, value in task["splits"].items()}}


def normalised_by(data: Mapping[str, Any]) -> str:
    """By which likelihood the hardest negative is chosen, and calibration measured."""
    return str(data["distill"]["loss"]["normalise"])


def once(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """How a model answers where it gives one answer, however many it gives to be learnt from."""
    return {**sampling, "samples": 1}


def trained_by(recipe: Recipe, name: str) -> str:
    """The task that makes a model; there is none for a teacher of which nothing but text is seen."""
    if name == "teacher" and recipe.teacher.text_only:
        return "prepare"
    return f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"


def asked_of(recipe: Recipe, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a teacher's answers depend on that no training task tells."""
    if name != "teacher" or not recipe.teacher.text_only:
        return {}
    path = getattr(recipe.teacher.model, "path", None)
    files = described(path) if path else None
    return {"teacher": data["teacher"]["model"], "prompt": prompt_of(data, "teacher"), "files": files}


def described(path: str | Path) -> Any:
    """A file or folder by what would change with its content."""
    return Remote(str(path)).describe() if is_url(path) else describe_path(Path(path))


def with_a_say(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what recipes that were run before did not have, where it has no say."""
    return {key: value for key, value in settings.items() if key not in LATER or value != LATER[key]}


def own_settings(method: Method) -> dict[str, Any]:
    """A method's settings, with a loss of its own."""
    settings = with_a_say(method.model_dump(mode="json"))
    return settings | ({"loss": scored_alike(settings["loss"])} if settings.get("loss") else {})


def scored_alike(loss: Mapping[str, Any]) -> dict[str, Any]:
    """A calibration loss, without a scale where that is the scorer's own."""
    plain = loss.get("scale") == "score"
    return {key: value for key, value in loss.items() if not (plain and key in ("scale", "bands"))}
