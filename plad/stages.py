"""The stages of PLaD, each a function from the files of a run to files of the run.

A stage that takes long writes what it has into its workspace as it goes, continues from there, and puts its result
in place only when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plad.config import ModelRole, Recipe, Sample, Training
from plad.data import make_pairs, reorder, split
from plad.errors import PladError
from plad.losses import Loss, NegativeLogLikelihood
from plad.methods import Method
from plad.models import PromptFormat
from plad.models.load import device, load_folder, with_attention
from plad.models.prompts import Formatter
from plad.models.vocabulary import check_alike, check_same_tokens
from plad.progress import Display
from plad.records import EvalRow, Generation, PreferencePair, Prompt, Score, read_jsonl
from plad.runs import Run, publish, write_json, write_jsonl
from plad.scoring.judging import is_pairwise, judge_answers, needs_training, paid_for, remembering
from plad.scoring.store import ScoreStore
from plad.scoring.verdict import doubt_shares, doubts
from plad.training.examples import Examples, from_answers, from_pairs, from_references

SPLITS = ("train", "distill", "validation", "test")


@dataclass(frozen=True)
class Context:
    """What a stage is given: the run, its recipe, where to show progress, and a folder for work in progress."""

    run: Run
    recipe: Recipe
    display: Display
    workspace: Path

    def prompts(self, name: str) -> list[Prompt]:
        """The prompts of a split."""
        return list(read_jsonl(self.run.path("data", f"{name}.jsonl"), Prompt))

    def asked(self) -> list[Prompt]:
        """The prompts that every model is evaluated on."""
        return self.prompts(self.recipe.evaluate.split)

    def generations(self, name: str) -> list[Generation]:
        """What a model answered on the distillation half."""
        return list(read_jsonl(self.run.path("generations", f"{name}.jsonl"), Generation))

    def pairs(self) -> list[PreferencePair]:
        """The preference pairs."""
        return list(read_jsonl(self.run.path("pairs.jsonl"), PreferencePair))

    def seed(self, purpose: str) -> int:
        """A seed for one purpose, so that no two stages draw the same numbers."""
        return int.from_bytes(hashlib.sha256(f"{self.recipe.seed} {purpose}".encode()).digest()[:4], "big") >> 1


def check(context: Context) -> dict[str, Any]:
    """Find out in seconds what would fail after hours: a model of the wrong kind or size, a scorer that scores nothing.

    Raises:
        PladError: with the rule, the value and the remedy.
    """
    recipe = context.recipe
    for name in ("teacher", "student"):
        model = getattr(recipe, name).model
        try:
            if name == "teacher" and recipe.teacher.text_only:
                model.probe()
            else:
                _check_room(recipe, name, model.shape())
        except PladError as error:
            raise PladError(f"{name}.model: {error}") from None
    if names := white_box(recipe):
        try:
            check_alike(recipe.teacher.model, recipe.student.model)
        except PladError as error:
            raise PladError(f"method {names[0]}: {error}") from None
    used = {"evaluate.judge": recipe.evaluate.judge}
    used |= {f"evaluate.also ({label})": scorer for label, scorer in recipe.evaluate.others.items()}
    if recipe.scores_pairs:
        used["pairs.scorer"] = recipe.pairs.scorer
    if recipe.evaluate.calibration and recipe.evaluate.calibration.scorer:
        used["evaluate.calibration.scorer"] = recipe.evaluate.calibration.scorer
    for place, scorer in used.items():
        with context.display.bar(f"trying {place}", None):
            _try_scorer(scorer, place)
    return {}


def white_box(recipe: Recipe) -> list[str]:
    """The names of the methods that look inside the teacher."""
    return [name for name, method in recipe.methods.items() if method.objective(recipe.distill.loss).needs_teacher]


def prepare(context: Context) -> dict[str, Any]:
    """Read the task, drop duplicates, divide it, and check that every prompt fits the models."""
    recipe = context.recipe
    with context.display.bar("reading the task", None) as advance:
        read: list[Prompt] = []
        for prompt in recipe.task.source.prompts():
            read.append(prompt)
            advance(len(read), {})
    data = split(read, recipe.task.splits, recipe.seed)
    parts = {name: list(getattr(data, name)) for name in SPLITS}
    _check_references(parts)
    _write_tokenizers(context, parts["train"])
    counts = dict(data.counts) | _fit(context, parts)
    for name, part in parts.items():
        write_jsonl(context.run.path("data", f"{name}.jsonl"), part)
    write_json(context.run.path("data", "summary.json"), {**counts, "splits": {n: len(p) for n, p in parts.items()}})
    return counts


def fine_tune(context: Context, name: str) -> dict[str, Any]:
    """Supervised fine-tuning of the teacher or the student on the training half's references."""
    role: ModelRole = getattr(context.recipe, name)
    folder = context.run.path("models", f".tokenizer-{name}")
    tokenizer = _load_tokenizer(folder)
    model = role.model.model(tokenizer, context.seed(f"weights {name}"))
    if role.sft is None:
        return _publish_model(context, model, tokenizer, name)
    formatter = _formatter(context.recipe.prompt, tokenizer, model)
    data = {part: from_references(context.prompts(part), formatter) for part in ("train", "validation")}
    return _train(context, name, model, tokenizer, NegativeLogLikelihood(), data, role.sft, base=None)


def sample(context: Context, name: str) -> dict[str, Any]:
    """The teacher's or the student's answers on the distillation half."""
    prompts = context.prompts("distill")
    target = context.run.path("generations", f"{name}.jsonl")
    return answer_prompts(context, name, prompts, context.recipe.sample, target, f"sample {name}")


def pair(context: Context) -> dict[str, Any]:
    """The teacher's answer over the student's, scored where the loss or the share of real pairs needs it."""
    recipe = context.recipe
    prompts = context.prompts("distill")
    hygiene = recipe.pairs.hygiene
    result = make_pairs(prompts, context.generations("teacher"), context.generations("student"), hygiene)
    pairs = result.pairs
    if recipe.scores_pairs:
        pairs = _scored(context, pairs, recipe.pairs.scorer)
    pairs = reorder(pairs, recipe.pairs.real_share, recipe.seed)
    dropped = {reason: count for reason, count in result.dropped.items() if count}
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items())
    context.display.say(f"  {len(pairs)} pairs of {len(prompts)} prompts; dropped: {told or 'none'}")
    if not pairs:
        raise PladError(
            f"distillation needs at least one pair, but all {len(prompts)} prompts were dropped: {told}. "
            "Raise sample.max_new_tokens, or look at generations/ in the run folder."
        )
    write_jsonl(context.run.path("pairs.jsonl"), pairs)
    summary = {"prompts": len(prompts), "made": len(pairs), "dropped": dropped}
    write_json(context.run.path("pairs.json"), summary)
    return summary


def distill(context: Context, name: str) -> dict[str, Any]:
    """Train the initial student further by the method of that name. All take the steps that the pairs make."""
    recipe = context.recipe
    method = recipe.methods[name]
    loss = method.objective(recipe.distill.loss)
    model, tokenizer = _load(context, "student")
    formatter = _formatter(recipe.prompt, tokenizer, model)
    steps = recipe.distill.max_steps or round(
        -(-len(context.pairs()) // recipe.distill.batch_size) * recipe.distill.epochs
    )
    rate = method.learning_rate or recipe.distill.learning_rate
    settings = recipe.distill.model_copy(update={"max_steps": steps, "learning_rate": rate})
    data: dict[str, Any] = {"train": _examples(context, method, formatter, loss)}
    if loss.needs_teacher:
        data["teacher"], teachers = _load(context, "teacher")
        check_same_tokens(teachers, tokenizer)
    if (rollout := loss.rollout()) and rollout.with_text:
        data["text"] = from_references(context.prompts("train"), formatter)
    return _train(context, name, model, tokenizer, loss, data, settings, base=context.run.path("models", "student"))


def train_judge(context: Context) -> dict[str, Any]:
    """Train the judge, if it is one to train, on the training half and the initial student's answers to it."""
    judge = context.recipe.evaluate.judge
    if not needs_training(judge):
        return {"description": judge.description}
    prompts = context.prompts("train")[: context.recipe.evaluate.judge_prompts]
    held_out = context.prompts("validation")
    asked = {"train": prompts[: context.recipe.evaluate.judge_samples], "validation": held_out}
    answers = {}
    for part, some in asked.items():
        target = context.workspace / f"answers-{part}.jsonl"
        answer_prompts(context, "student", some, _one_each(context.recipe.sample), target, f"judge's {part}")
        answers[part] = list(read_jsonl(target, Generation))
    with context.display.bar("training the judge", None) as advance:
        total = [0]

        def done(more: int) -> None:
            total[0] += more
            advance(total[0], {})

        trained = judge.train_on(prompts, held_out, answers["train"], answers["validation"], progress=done)
    partial = context.workspace / "judge"
    trained.save(partial)
    publish(partial, context.run.path("judge"))
    return {"description": trained.description, "accuracy": list(trained.accuracy)}


def answer(context: Context, name: str) -> dict[str, Any]:
    """A model's answers to the test split, or to that which the recipe names, scored by the judge and by ROUGE."""
    from plad.evaluation.measure import evaluate_outputs

    recipe = context.recipe
    prompts = context.asked()
    outputs = context.workspace / "outputs.jsonl"
    sampling = recipe.evaluate.sampling or recipe.sample
    summary = answer_prompts(context, name, prompts, _one_each(sampling), outputs, f"test {name}")
    generations = list(read_jsonl(outputs, Generation))
    answers = [generation.response for generation in generations]
    with context.display.bar(f"judging {name}", None), remembered(context, judge_of(context)) as judge:
        judged = judge_answers(judge, prompts, answers, initial_answers(context, name))
    columns = ([score.score, score.reference_score, score.against_initial] for score in judged.scores)
    rows = evaluate_outputs(prompts, generations, *map(list, zip(*columns, strict=True)))
    write_jsonl(context.run.path("evaluation", f"{name}.jsonl"), rows)
    for opponent, verdicts in judged.verdicts.items():
        write_jsonl(context.run.path("evaluation", "verdicts", f"{name}-{opponent}.jsonl"), verdicts)
    return summary | {"doubts": [doubts(verdicts) for verdicts in judged.verdicts.values()]}


def summarise(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """The results of all models in one table of estimates."""
    from plad.evaluation.agreement import side_by_side
    from plad.evaluation.measure import summarise as table

    labels = {"teacher": "Teacher", "student": "Initial student", **_labels(context.recipe)}
    rows = {name: list(read_jsonl(context.run.path("evaluation", f"{name}.jsonl"), EvalRow)) for name in names}
    parameters = {
        name: (context.run.finished(_trainer_of(name)) or {}).get("summary", {}).get("parameters") for name in names
    }
    results = table(rows, "student", "teacher", labels, parameters, context.asked(), context.recipe.seed)
    others = {label: _scores_by(context, label, names) for label in context.recipe.evaluate.others}
    also = side_by_side(rows, others, "student", context.recipe.seed)
    for entry in also:
        entry["description"] = context.recipe.evaluate.others[entry["name"]].description
    judged = context.run.finished("evaluate/judge") or {}
    scorer = {"name": context.recipe.evaluate.judge.type, **judged.get("summary", {}), **_doubts(context, names)}
    about = {
        "task": context.recipe.task.source.type,
        "split": context.recipe.evaluate.split,
        "subject": names[-1],
        "scorer": scorer,
    }
    results = {**about, **results, "scorers": also}
    write_json(context.run.path("evaluation", "results.json"), results)
    return {"n": results["n"]}


def report(context: Context) -> dict[str, Any]:
    """report.html and report.md."""
    from plad.report import write_report

    html, markdown = write_report(context.run.folder)
    return {"html": str(html), "markdown": str(markdown)}


def _one_each(sampling: Sample) -> Sample:
    """One answer a prompt, however many pairs or SeqKD are made of."""
    return sampling.model_copy(update={"samples": 1})


def _scores_by(context: Context, label: str, names: Sequence[str]) -> dict[str, list[Score]]:
    """What another scorer made of each model's outputs."""
    folder = context.run.path("evaluation", "scores", label)
    return {name: list(read_jsonl(folder / f"{name}.jsonl", Score)) for name in names}


def _doubts(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """How often a pairwise judge's verdict hung on the order or was not to be read."""
    records = (context.run.finished(f"evaluate/{name}") or {} for name in names)
    return doubt_shares([count for record in records for count in record.get("summary", {}).get("doubts", ())])


def _trainer_of(name: str) -> str:
    return f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"


def _check_room(recipe: Recipe, name: str, shape: Any) -> None:
    """Refuse limits that a model has too few positions for."""
    samplings = (recipe.sample, recipe.evaluate.sampling or recipe.sample)
    prompt = recipe.prompt.max_prompt_tokens
    response = max(recipe.prompt.max_response_tokens, *(sampling.max_new_tokens for sampling in samplings))
    needed = max(prompt, response) if shape.encoder_decoder else prompt + response
    if shape.context is not None and needed > shape.context:
        raise PladError(
            f"the {name} has a context of {shape.context} tokens, but prompts of {prompt} (prompt.max_prompt_tokens) "
            f"and responses of {response} (prompt.max_response_tokens or max_new_tokens) need {needed}. "
            "Lower one of them."
        )


def _try_scorer(scorer: Any, place: str) -> None:
    """Load a scorer and score one answer, or embed one text where it is yet to be trained."""
    # A copy: what it loads is let go of again, and does not stay in memory beside the models.
    scorer = scorer.model_copy()
    try:
        if place == "evaluate.judge" and needs_training(scorer):
            scorer.encoder().encode(["one text"])
        elif paid_for(scorer):
            scorer.probe()
        else:
            scorer.score([Prompt("probe", "a prompt", reference="an answer")], ["another answer"])
    except PladError as error:
        raise PladError(f"{place}: {error}") from None
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise PladError(f"{place}: {_model_of(scorer)} does not load: {reason}. Mend its settings.") from None


def _model_of(scorer: Any) -> str:
    return str(getattr(scorer, "model", scorer.type))


def _check_references(parts: Mapping[str, Sequence[Prompt]]) -> None:
    for name in ("train", "validation", "test"):
        missing = sum(not (prompt.reference or "").strip() for prompt in parts[name])
        if missing:
            raise PladError(
                f"training and evaluation compare with references, but {missing} of {len(parts[name])} prompts of "
                f"the {name} split have none. Name the column that holds them in task.source."
            )


def _with_weights(recipe: Recipe) -> list[str]:
    """The roles whose models are here."""
    return ["student"] if recipe.teacher.text_only else ["teacher", "student"]


def _write_tokenizers(context: Context, train: Sequence[Prompt]) -> None:
    for name in _with_weights(context.recipe):
        model = getattr(context.recipe, name).model
        tokenizer = model.tokenizer(f"{prompt.text}\n{prompt.reference}" for prompt in train)
        tokenizer.save_pretrained(context.run.path("models", f".tokenizer-{name}"))


def _load(context: Context, name: str) -> tuple[Any, Any]:
    """A model of the run, in the precision that the recipe names for it, and its tokenizer.

    Raises:
        PladError: it is a teacher of which nothing but text is seen.
    """
    if name == "teacher" and context.recipe.teacher.text_only:
        raise PladError(
            "this needs the teacher's own probabilities, so a teacher whose weights are here, but teacher.model is of "
            f"type {context.recipe.teacher.model.type}. Use `type: pretrained`, or a method that looks at text alone."
        )
    model, tokenizer = load_folder(context.run.path("models", name), _dtype(context.recipe, name))
    return with_attention(model, getattr(_source(context.recipe, name), "attention", None)), tokenizer


def load_for_answers(context: Context, name: str) -> tuple[Any, Any, Formatter]:
    """A model of the run where it runs fastest, its tokenizer, and its formatter."""
    model, tokenizer = _load(context, name)
    return model.to(device()), tokenizer, _formatter(context.recipe.prompt, tokenizer, model)


def _dtype(recipe: Recipe, name: str) -> Any:
    return getattr(_source(recipe, name), "dtype", "float32")


def _source(recipe: Recipe, name: str) -> Any:
    """Where a model of the run began: every trained student as the initial one."""
    return recipe.teacher.model if name == "teacher" else recipe.student.model


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def _fit(context: Context, parts: dict[str, list[Prompt]]) -> dict[str, int]:
    """Apply prompt.too_long to every prompt under both tokenizers, before anything is trained."""
    prompt_format = context.recipe.prompt
    formatters = [_early_formatter(context, name) for name in _with_weights(context.recipe)]
    dropped = 0
    for name, part in parts.items():
        if prompt_format.too_long == "drop":
            kept = [prompt for prompt in part if all(f.fits(prompt.prompt) for f in formatters)]
            dropped += len(part) - len(kept)
            part[:] = kept
            if not kept:
                raise PladError(
                    f"all prompts of the {name} split are over prompt.max_prompt_tokens = "
                    f"{prompt_format.max_prompt_tokens} and were dropped. Raise it, or set prompt.too_long: truncate."
                )
        else:
            for prompt in part:
                for formatter in formatters:
                    formatter.prompt_ids(prompt.prompt)
    return {"too_long": dropped} if prompt_format.too_long == "drop" else {}


def _early_formatter(context: Context, name: str) -> Formatter:
    """The formatter of a model that is not loaded yet."""
    tokenizer = _load_tokenizer(context.run.path("models", f".tokenizer-{name}"))
    return context.recipe.prompt.bind(tokenizer, getattr(context.recipe, name).model.shape().encoder_decoder)


def _formatter(prompt_format: PromptFormat, tokenizer: Any, model: Any) -> Formatter:
    return prompt_format.bind(tokenizer, bool(model.config.is_encoder_decoder))


def _examples(context: Context, method: Method, formatter: Formatter, loss: Loss) -> Examples:
    """The text that a method learns from."""
    if method.learns_from == "references":
        return from_references(context.prompts("train"), formatter)
    if method.learns_from == "pairs":
        return from_pairs(context.pairs(), formatter, loss)
    sources = {"samples": (), "both": ("teacher", "student")}.get(method.learns_from, (method.learns_from,))
    return from_answers(_answered(context, sources), formatter)


def _answered(context: Context, names: Sequence[str]) -> Iterator[tuple[Prompt, list[str]]]:
    """The prompts of the distillation half that all of the models answered well, each sample of them with its peers."""
    prompts = context.prompts("distill")
    whole = [_usable(context, prompts, name) for name in names]
    for prompt in prompts:
        samples = [answers.get(prompt.id, []) for answers in whole]
        if not names:
            yield prompt, []
        for together in zip(*samples, strict=False):
            yield prompt, list(together)


def _usable(context: Context, prompts: Sequence[Prompt], name: str) -> dict[str, list[str]]:
    """A model's finished, non-empty answers by prompt, in the order of its samples; the teacher's also clean."""
    generations = context.generations(name)
    first = {generation.id: generation for generation in generations if not generation.sample}
    unclean = context.recipe.pairs.hygiene.reasons(prompts, first) if name == "teacher" else {}
    found: dict[str, list[str]] = {}
    for generation in generations:
        if generation.finished and generation.response.strip() and generation.id not in unclean:
            found.setdefault(generation.id, []).append(generation.response)
    return found


def _labels(recipe: Recipe) -> dict[str, str]:
    """What to call each trained student: its method, and its own name where that is another."""
    return {
        name: method.label if name == method.type else f"{method.label} ({name})"  # type: ignore[attr-defined]
        for name, method in recipe.methods.items()
    }


def initial_answers(context: Context, name: str) -> list[str] | None:
    """What the initial student answered to the test split, for a pairwise judge of another model; else None."""
    if name == "student" or not is_pairwise(context.recipe.evaluate.judge):
        return None
    return [row.response for row in read_jsonl(context.run.path("evaluation", "student.jsonl"), EvalRow)]


def _scored(context: Context, pairs: list[PreferencePair], scorer: Any) -> list[PreferencePair]:
    prompts = [Prompt(p.id, p.prompt) for p in pairs]
    with context.display.bar("scoring the pairs", 2 * len(pairs)) as advance, remembered(context, scorer) as scorer:
        chosen = scorer.score(prompts, [p.chosen for p in pairs])
        advance(len(pairs), {})
        rejected = scorer.score(prompts, [p.rejected for p in pairs])
        advance(2 * len(pairs), {})
    scored = zip(pairs, chosen, rejected, strict=True)
    return [replace(p, chosen_score=float(c), rejected_score=float(r)) for p, c, r in scored]


def _train(
    context: Context,
    name: str,
    model: Any,
    tokenizer: Any,
    loss: Loss,
    data: Mapping[str, Any],
    settings: Training,
    base: Path | None,
) -> dict[str, Any]:
    """Train, then publish the model; `base` is the run's model that an adapter belongs to."""
    import torch

    from plad.training.run import train

    _drop_torn_checkpoints(context.workspace)
    if settings.lora is not None:
        origin = f"../{base.name}" if base else str(getattr(model, "name_or_path", ""))
        with torch.random.fork_rng(devices=[]):
            # An adapter begins with random numbers, which must not depend on what this process did before.
            torch.manual_seed(context.seed(f"adapter {name}"))
            model = settings.lora.wrap(model, origin)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with context.display.bar(f"training {name}", None) as advance:

        def show(done: int, total: int, logged: Mapping[str, float]) -> None:
            advance(done, {key: logged[key] for key in ("loss", "accuracy") if key in logged})

        summary: dict[str, Any] = dict(
            train(
                model,
                tokenizer,
                data["train"],
                loss,
                settings,
                context.workspace,
                context.seed(f"train {name}"),
                validation=data.get("validation"),
                teacher=data.get("teacher"),
                text=data.get("text"),
                max_new_tokens=context.recipe.sample.max_new_tokens,
                progress=show,
            )
        )
    _check_finite(name, summary, settings)
    summary |= {"trainable": trainable, "examples": len(data["train"])}
    return summary | _publish_model(context, model, tokenizer, name)


def _drop_torn_checkpoints(folder: Path) -> None:
    """Remove what a crash or a full disk cut short. The Trainer writes trainer_state.json last."""
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)


def _check_finite(name: str, summary: Mapping[str, Any], settings: Training) -> None:
    for key in ("loss", "eval_loss"):
        if not math.isfinite(summary.get(key, 0.0)):
            raise PladError(
                f"training must end with a finite loss, but the {key} of {name} is {summary[key]}: it diverged. "
                f"Lower its learning_rate, which is {settings.learning_rate:g}, or raise its warmup."
            )


def _publish_model(context: Context, model: Any, tokenizer: Any, name: str) -> dict[str, Any]:
    partial = context.workspace / "model"
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    history = context.workspace / "history.jsonl"
    if history.is_file():
        history.replace(partial / "history.jsonl")
    publish(partial, context.run.path("models", name))
    return {"parameters": sum(p.numel() for p in model.parameters())}


def answer_prompts(
    context: Context, name: str, prompts: Sequence[Prompt], sampling: Sample, target: Path, purpose: str
) -> dict[str, Any]:
    """Answer prompts with a model of the run. Each answer is kept as it arrives; a second call asks for the rest."""
    from plad.answers import Answering

    answering = Answering(context.run, context.recipe, name, sampling, _dtype(context.recipe, name))
    total = len(prompts) * sampling.samples
    with context.display.bar(f"sampling {purpose}", total) as advance:
        answers = answering.answers(prompts, context.seed(purpose), lambda done: advance(done, {}))
    write_jsonl(target, answers)
    summary = answering.summary(answers)
    if failed := summary.get("failed"):
        context.display.say(f"  {failed} of {len(prompts)} prompts were set aside; {target} says why")
    return summary


@contextmanager
def remembered(context: Context, scorer: Any) -> Iterator[Any]:
    """A scorer that looks into the run's store first, so that nothing is scored, or asked and paid for, twice."""
    with ScoreStore(context.run.path("scores.sqlite")) as store:
        yield remembering(scorer, store)


def judge_of(context: Context) -> Any:
    """The recipe's judge, trained by this run where it is one to train."""
    judge = context.recipe.evaluate.judge
    if not needs_training(judge):
        return judge
    from plad.scoring.trained import TrainedScorer

    return TrainedScorer.load(context.run.path("judge"))


Stage = Callable[[Context], dict[str, Any]]
