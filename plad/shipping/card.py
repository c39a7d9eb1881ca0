"""The model card: what a model of a run is, what was measured of it with which uncertainty, and what speaks against it.

It names hub ids, and of what lies on this machine its last name alone: a card is read by strangers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from plad.report.cautions import cautions
from plad.report.citation import CITATION, PAPER
from plad.report.facts import data_facts, pair_facts
from plad.report.markdown import fenced, markdown_table
from plad.report.numbers import percent
from plad.report.read import RunFiles, read_run
from plad.report.verdict import support, trust, verdict
from plad.shipping.public import local, public
from plad.shipping.source import RunModel
from plad.shipping.usage import usage

MEASURES = {
    "win_rate": ("win_rate", "Win rate against the human reference"),
    "against_initial": ("win_rate", "Win rate against the initial student"),
    "rouge1": ("rouge", "ROUGE-1"),
    "rouge2": ("rouge", "ROUGE-2"),
    "rougeL": ("rouge", "ROUGE-L"),
}
"""What goes into the card's metadata, by its key in results.json: the hub's name for it, and ours."""


def model_card(model: RunModel, form: str, repo_id: str | None = None, licence: str | None = None) -> str:
    """The text of README.md: metadata that the hub reads, and what a person reads."""
    run = read_run(model.run.folder)
    name = repo_id or f"{model.recipe.name}-{model.name}"
    parts = [
        f"# {name.rpartition('/')[2]}",
        _what(model, form),
        *_results(run, model),
        "## How to use it",
        *usage(model, form, repo_id),
        "## How it was made",
        _training(model, run),
        "## Data",
        _data(model, run),
        "## Limits",
        _limits(run, licence),
        "## Recipe",
        fenced(yaml.safe_dump(public(model.recipe.model_dump(mode="json")), sort_keys=False), "yaml"),
        "## Citation",
        PAPER,
        fenced(CITATION, "bibtex"),
    ]
    return f"---\n{_metadata(model, run, form, name, licence)}\n---\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def _metadata(model: RunModel, run: RunFiles, form: str, name: str, licence: str | None) -> str:
    from huggingface_hub import ModelCardData

    shape: Any = model.role.model.shape()
    data = ModelCardData(
        base_model=_base(model),
        base_model_relation="adapter" if form == "adapter" and _base(model) else None,
        datasets=[hub] if (hub := _hub_data(model)) else None,
        library_name={"adapter": "peft", "gguf": "gguf"}.get(form, "transformers"),
        license=licence,
        pipeline_tag="text2text-generation" if shape.encoder_decoder else "text-generation",
        tags=["plad", "distillation", "preference-distillation"],
        model_name=name.rpartition("/")[2],
        eval_results=_measured(model, run) or None,
    )
    return data.to_yaml()


def _measured(model: RunModel, run: RunFiles) -> list[Any]:
    """The estimates of the model's own row; an interval has no field of its own there, and stands in the arguments."""
    from huggingface_hub import EvalResult

    results = run.results or {}
    row: Any = next((row for row in results.get("rows", ()) if row["name"] == model.name), {})
    judge = (results.get("scorer") or {}).get("name", "a scorer")
    found = []
    for key, (kind, label) in MEASURES.items():
        if (estimate := row.get(key)) and estimate.get("value") is not None:
            by = f", judged by {judge}" if kind == "win_rate" else ""
            found.append(
                EvalResult(
                    task_type="text-generation",
                    dataset_type=_hub_data(model) or model.recipe.task.source.type,
                    dataset_name=model.recipe.task.source.type,
                    dataset_split=model.recipe.evaluate.split,
                    metric_type=kind,
                    metric_name=label + by,
                    metric_value=round(estimate["value"], 4),
                    metric_args={k: round(estimate[k], 4) for k in ("low", "high", "n") if estimate.get(k) is not None},
                )
            )
    return found


def _what(model: RunModel, form: str) -> str:
    role = model.role
    origin = f"[{base}](https://huggingface.co/{base})" if (base := _base(model)) else _origin(role.model)
    if model.name in ("teacher", "student"):
        return f"The {model.name} of a distillation, before any: {origin}, fine-tuned on the task's references."
    method: Any = model.recipe.methods[model.name]
    teacher = public(model.recipe.teacher.model.model_dump(mode="json"))
    taught_by = teacher.get("path") or teacher.get("model") or _origin(model.recipe.teacher.model)
    kind = {"adapter": "a LoRA adapter", "gguf": "one GGUF file"}.get(form, "whole weights")
    return f"A student ({origin}) distilled from {taught_by} by {method.label} with [plad]({PAPER}), as {kind}."


def _results(run: RunFiles, model: RunModel) -> list[str]:
    if not run.results:
        return ["## Results", "It was not evaluated."]
    lines = [f"**{verdict(run.results)}**", *support(run.results), trust(run.results)]
    table = markdown_table(run.results)
    note = (
        f"{run.results.get('n')} prompts of the {model.recipe.evaluate.split} split; 95 % intervals in brackets, "
        f"by bootstrap over prompts; the best student is bold. Every model answered at temperature "
        f"{model.sampling.temperature:g}."
    )
    return ["## Results", *filter(None, lines), table, note]


def _training(model: RunModel, run: RunFiles) -> str:
    name = model.name
    task = f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"
    summary: Mapping[str, Any] = (run.manifest.get("tasks", {}).get(task) or {}).get("summary") or {}
    told = {"examples": "examples", "steps": "optimiser steps", "tokens": "tokens trained on", "trainable": "weights"}
    facts = [f"- {summary[key]:,} {what}" for key, what in told.items() if isinstance(summary.get(key), int)]
    facts += [f"- {fact.name}: {fact.value}" for fact in pair_facts(run)] if name in model.recipe.methods else []
    versions = ", ".join(f"{key} {value}" for key, value in sorted(run.manifest.get("versions", {}).items()) if value)
    return "\n".join([*facts, f"- seed {model.recipe.seed}; {versions}"])


def _data(model: RunModel, run: RunFiles) -> str:
    source = public(model.recipe.task.source.model_dump(mode="json"))
    told = ", ".join(f"{key} {value}" for key, value in source.items() if value not in (None, (), [], {}))
    learnt = (
        "Teacher and initial student learn from references of the training half; pairs are made of the models' own "
        "answers to the distillation half, whose references are not used. Duplicates are removed before the split, and "
        "the prompts of the results were in neither half."
    )
    return "\n".join([f"Source: {told}.", "", learnt, "", *(f"- {f.name}: {f.value}" for f in data_facts(run))])


def _limits(run: RunFiles, licence: str | None) -> str:
    lines = [
        "It learnt what the teacher writes, its mistakes and its bias included. Nothing here measures safety or facts.",
        "The numbers are of one task, one split and one judge, which may be wrong in ways that training exploits.",
    ]
    lines += cautions(run)
    if licence is None:
        lines.append("No licence is stated here; that of the base model, and the terms of the teacher's, hold.")
    return "\n".join(f"- {line}" for line in lines)


def _base(model: RunModel) -> str | None:
    """The hub id that the model descends from."""
    path = getattr(model.role.model, "path", None)
    return None if path is None or local(path) else str(path)


def _origin(source: Any) -> str:
    if source.type == "scratch":
        return f"a {source.architecture} of {source.layers} layers, trained from random weights"
    return Path(str(getattr(source, "path", source.type))).name


def _hub_data(model: RunModel) -> str | None:
    source = model.recipe.task.source
    return None if getattr(source, "path", None) else getattr(source, "hub", None)


def headline(model: RunModel) -> str:
    """The one number of a commit message."""
    rows = (read_run(model.run.folder).results or {}).get("rows", ())
    rate = next((row["against_initial"] for row in rows if row["name"] == model.name), None)
    return f"{model.name}: wins {percent(rate['value'])} % over the initial student" if rate else model.name
