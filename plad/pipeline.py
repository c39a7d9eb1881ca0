"""The plan of a run: which tasks there are, what each depends on, and which of them are already done.

A task's fingerprint is of the settings that determine its output and of the fingerprints of the tasks it follows.
A task is done when the folder records it under the same fingerprint; everything else is run, in order.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from plad import interrupt, stages
from plad.changes import changes
from plad.config import Recipe
from plad.errors import PladError, nearest
from plad.launching import Leader, Place, Work, follow, gpus, place_of, train_in_processes
from plad.methods import Method, Text, answered_by
from plad.progress import Display
from plad.remote import mirrored
from plad.runs import Run, describe_path, fingerprint, link, timed
from plad.tracking import check_installed
from plad.training.launch import Launch
from plad.urls import Remote, is_url

STAGES = ("prepare", "sft", "sample", "pair", "distill", "evaluate", "report")

FORMAT = 2
"""Raised when a stage comes to write something else for the same recipe. A run folder records the one it is of."""

TABLE = 2
"""Raised when the table of results comes to say more of the same outputs: it alone is made again."""

CHOICES = ("positives", "negatives")
"""Settings of pairs that choose among several answers."""


LATER = {"guard": None, "max_flops": None, "keep": "last", "anchor": 0.0, "of": "subject"}
"""Settings of distillation, of methods and of calibration that came later, and the values at which they have no say."""


@dataclass(frozen=True)
class Task:
    """One resumable piece of work."""

    name: str
    work: stages.Stage
    settings: Mapping[str, Any]
    after: tuple[str, ...]
    outputs: tuple[str, ...]
    trains: bool = False
    """Whether it is one of those that several processes do where the recipe says so."""

    @property
    def stage(self) -> str:
        """The stage it belongs to."""
        return self.name.split("/")[0]


def plan(recipe: Recipe) -> list[Task]:
    """Every task of a recipe, in an order in which each comes after those it needs."""
    data = _determining(recipe.model_dump(mode="json"))
    tasks = [_check(recipe, data), _prepare(recipe, data)]
    for name in ["student"] if recipe.teacher.text_only else ["teacher", "student"]:
        settings = {"role": data[name], "prompt": _prompt_of(data, name)}
        tuned = _task(f"sft/{name}", partial(stages.fine_tune, name=name), settings, ["prepare"], f"models/{name}")
        tasks.append(replace(tuned, trains=data[name]["sft"] is not None))
    for name in ("teacher", "student"):
        output = f"generations/{name}.jsonl"
        settings = data["sample"] | {"samples": recipe.sampling_of(name).samples} | _asked(recipe, data, name)
        tasks.append(
            _task(f"sample/{name}", partial(stages.sample, name=name), settings, [_trained(recipe, name)], output)
        )
    settings = _pairing(recipe, data)
    tasks.append(
        _task("pair", stages.pair, settings, ["sample/teacher", "sample/student"], "pairs.jsonl", "pairs.json")
    )
    tasks += [_logits(recipe, text, data) for text in _texts(recipe)]
    judge = _judge(recipe, data)
    *compared, subject = recipe.methods.items()
    # Which step of a training is kept may be for the judge to say.
    tasks += [judge] if recipe.distill.keep == "best" else []
    tasks += [_distill(recipe, name, method, data) for name, method in compared]
    after = [] if recipe.distill.keep == "best" else [judge]
    if recipe.distill.rounds == 1:
        return [*tasks, _distill(recipe, *subject, data), *after, *_evaluate(recipe, data)]
    # Whether a round is followed by another is for the judge to say.
    return [*tasks, *after, *_rounds(recipe, *subject, data), *_evaluate(recipe, data)]


def fingerprints(tasks: Iterable[Task], seed: int) -> dict[str, str]:
    """The fingerprint of each task."""
    found: dict[str, str] = {}
    for task in tasks:
        follows = {name: found[name] for name in task.after}
        found[task.name] = fingerprint([FORMAT, seed, task.name, task.settings, follows])
    return found


def run(
    recipe: Recipe,
    folder: Path,
    display: Display,
    only: str | None = None,
    force: Iterable[str] = (),
    beside: Sequence[Path] = (),
    url: str | None = None,
) -> Run:
    """Run what is not done yet; with `only`, one stage, for which those before it must be done.

    Args:
        force: stages to run again whatever the folder records.
        beside: other run folders; what one of them has done from equal settings, or scored, is taken from there.
        url: where each finished task is copied, and what is missing in `folder` is taken from.

    Raises:
        PladError: the folder is in use or of a newer plad, a name is no stage, an earlier stage is missing, or the
            disk is full.
        KeyboardInterrupt: Ctrl-C was pressed; what was under way is kept, up to its last step.
    """
    for name in (*force, *([only] if only else [])):
        if name not in STAGES:
            raise PladError(f"there is no stage {name!r}.{nearest(name, STAGES)} Stages: {', '.join(STAGES)}.")
    run = Run(folder, beside)
    launch, place = place_of(recipe.launch, os.environ)
    if launch.several:
        launch.check(gpus())
    if place.spare or place.node:
        _help(run, launch, place, display)
        return run
    leader = Leader(launch, place)
    if url and launch.nodes > 1:
        raise PladError(
            f"several machines train on one run folder that all of them see, but the run is kept at {url}. "
            "Name a folder on a disk that they share, or set launch.nodes to 1."
        )
    with (
        _room_on_disk(folder),
        run.lock(),
        interrupt.step_by_step(),
        leader.until_the_end(),
        mirrored(run, url, display.say) as mirror,
    ):
        _greet(run, recipe.seed, display)
        tasks = plan(recipe)
        marks = fingerprints(tasks, recipe.seed)
        todo = _todo(run, tasks, marks, set(force))
        with _told_how_it_ends(run, display):
            _tell(run, tasks, todo, set(force), display)
            run.drop_workspaces({task.name: marks[task.name] for task in todo})
            due = _only(tasks, todo, only) if only else todo
            if any(task.stage in ("sft", "distill") for task in due):
                check_installed(recipe.trackers)
            mirror.fetch(*_wanted(tasks, due))
            if due:
                run.start(recipe.to_yaml(), recipe.seed, FORMAT, [task.name for task in tasks])
            for task in due:
                interrupt.check()
                # Its followers are forgotten with it: should this process end here, they are still due.
                run.begin(task.name, [other.name for other in tasks if task.name in other.after])
                mirror.note()
                if task.stage in force or not _taken(run, task, marks[task.name], map(Run, beside), display):
                    _execute(run, recipe, task, marks[task.name], display, leader)
                mirror.finish(task.outputs)
    return run


def _help(run: Run, launch: Launch, place: Place, display: Display) -> None:
    """Take part in the trainings of the run that the first machine does; nothing in a process that is to spare."""
    if place.spare:
        return
    display.say(f"{run.folder}: machine {place.node} of 0 to {launch.nodes - 1} waits for trainings to help with")

    def train(work: Work) -> None:
        display.say(f"  {work.task}")
        train_in_processes(launch, place, work, display)

    with interrupt.step_by_step():
        follow(place, run.folder, train)


def _check(recipe: Recipe, data: Mapping[str, Any]) -> Task:
    calibration = data["evaluate"]["calibration"] or {}
    settings = {
        "models": [data["teacher"]["model"], data["student"]["model"]],
        "prompt": data["prompt"],
        "sample": [data["sample"], data["evaluate"]["sampling"]],
        "scorers": [data["evaluate"]["judge"], data["pairs"]["scorer"] if recipe.scores_pairs else None],
        "white_box": stages.white_box(recipe),
        "beside": [*data["evaluate"]["also"], calibration.get("scorer")],
    }
    if "audit" in data["pairs"]:
        settings["audit"] = data["pairs"]["audit"]
    settings |= _own_prompt(data)
    # Nothing follows it: a new judge is tried, and training stays as it is.
    return _task("prepare/check", stages.check, settings, [])


def _determining(data: dict[str, Any]) -> dict[str, Any]:
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


def _prompt_of(data: Mapping[str, Any], name: str) -> Any:
    return (data["teacher_prompt"] if name == "teacher" else None) or data["prompt"]


def _own_prompt(data: Mapping[str, Any]) -> dict[str, Any]:
    """The teacher's own way to be asked, where it has one."""
    return {"teacher_prompt": data["teacher_prompt"]} if data["teacher_prompt"] else {}


def _held(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings, without how its weights are held where that is as they are."""
    return {key: value for key, value in model.items() if key != "quantise" or value is not None}


def _pairing(recipe: Recipe, data: Mapping[str, Any]) -> dict[str, Any]:
    """What pairs depend on beside the answers that they are made of."""
    pairs = data["pairs"]
    settings = {"pairs": pairs if recipe.scores_pairs else None, "hygiene": pairs["hygiene"]}
    settings |= {key: pairs[key] for key in CHOICES if key in pairs} | _share(data)
    if "audit" in pairs:
        settings["audit"] = pairs["audit"] | {"scorer": pairs["audit"]["scorer"] or pairs["scorer"]}
    return settings | ({"normalise": _normalise(data)} if pairs.get("negatives") == "hardest" else {})


def _share(data: Mapping[str, Any]) -> dict[str, Any]:
    """The share of the distillation half that is learnt from, where it is not all."""
    share = data["distill"]["share"]
    return {} if share == 1 else {"share": share}


def _normalise(data: Mapping[str, Any]) -> str:
    return str(data["distill"]["loss"]["normalise"])


def _once(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """How a model answers where it gives one answer, however many it gives to be learnt from."""
    return {**sampling, "samples": 1}


def _trained(recipe: Recipe, name: str) -> str:
    """The task that makes a model; there is none for a teacher of which nothing but text is seen."""
    if name == "teacher" and recipe.teacher.text_only:
        return "prepare"
    return f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"


def _asked(recipe: Recipe, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a teacher's answers depend on that no training task tells."""
    if name != "teacher" or not recipe.teacher.text_only:
        return {}
    path = getattr(recipe.teacher.model, "path", None)
    files = _described(path) if path else None
    return {"teacher": data["teacher"]["model"], "prompt": _prompt_of(data, "teacher"), "files": files}


def _described(path: str | Path) -> Any:
    return Remote(str(path)).describe() if is_url(path) else describe_path(Path(path))


def _prepare(recipe: Recipe, data: Mapping[str, Any]) -> Task:
    source = recipe.task.source
    files = [getattr(source, field, None) for field in ("path", "file")]
    settings = {
        "task": data["task"],
        "prompt": data["prompt"],
        "tokenizers": [None if recipe.teacher.text_only else data["teacher"]["model"], data["student"]["model"]],
        # An edit of the data is a change of the recipe as much as one of the recipe's own text.
        "files": [_described(file) for file in files if file],
        **({} if recipe.teacher.text_only else _own_prompt(data)),
    }
    outputs = [f"data/{name}.jsonl" for name in stages.SPLITS] + ["data/summary.json"]
    outputs += [f"models/.tokenizer-{name}" for name in stages.with_weights(recipe)]
    return _task("prepare", stages.prepare, settings, [], *outputs)


def _texts(recipe: Recipe) -> list[Text]:
    """The texts along which what the teacher says is kept."""
    if recipe.distill.teacher_logits is None:
        return []
    return list(dict.fromkeys(recipe.methods[name].learns_from for name in stages.white_box(recipe)))


def _logits(recipe: Recipe, text: Text, data: Mapping[str, Any]) -> Task:
    settings = _share(data) | {"keep": data["distill"]["teacher_logits"], "hygiene": data["pairs"]["hygiene"]}
    after = ["prepare", "sft/teacher", "sft/student", *(f"sample/{name}" for name in answered_by(text))]
    # No method can have a name with a slash in it.
    return _task(f"distill/logits/{text}", partial(stages.keep_logits, text=text), settings, after, f"logits/{text}")


def _distill(recipe: Recipe, name: str, method: Method, data: Mapping[str, Any]) -> Task:
    apart = ("method", "loss", "rounds", "replay", "share", "teacher_logits")
    optimisation = _said({key: value for key, value in data["distill"].items() if key not in apart})
    if method.calibrated:
        optimisation["loss"] = _scored_alike(data["distill"]["loss"])
    settings = _share(data) | {"distill": optimisation, "method": _own(method)}
    if method.learns_from == "samples" or recipe.distill.guard:
        settings["max_new_tokens"] = data["sample"]["max_new_tokens"]
    after = ["prepare", "sft/student", "pair", *(["evaluate/judge"] if recipe.distill.keep == "best" else [])]
    if recipe.distill.teacher_logits and name in stages.white_box(recipe):
        after.append(f"distill/logits/{method.learns_from}")
    task = _task(f"distill/{name}", partial(stages.distill, name=name), settings, after, f"models/{name}")
    return replace(task, trains=True)


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what recipes that were run before did not have, where it has no say."""
    return {key: value for key, value in settings.items() if key not in LATER or value != LATER[key]}


def _own(method: Method) -> dict[str, Any]:
    """A method's settings, with a loss of its own."""
    settings = _said(method.model_dump(mode="json"))
    return settings | ({"loss": _scored_alike(settings["loss"])} if settings.get("loss") else {})


def _scored_alike(loss: Mapping[str, Any]) -> dict[str, Any]:
    """A calibration loss, without a scale where that is the scorer's own."""
    plain = loss.get("scale") == "score"
    return {key: value for key, value in loss.items() if not (plain and key in ("scale", "bands"))}


def _rounds(recipe: Recipe, name: str, method: Method, data: Mapping[str, Any]) -> list[Task]:
    """The student's rounds, each its pairs, its training and its check, and the one that is kept.

    All that the recipe allows are here; those behind a check that ends them find nothing to do.
    """
    tasks = [_check_round(recipe, name, 0, data, _asked(recipe, data, "teacher"))]
    training = _distill(recipe, name, method, data)
    for k in range(1, recipe.distill.rounds + 1):
        after, work = [*training.after, tasks[-1].name], partial(stages.train_round, name=name, number=k)
        if k > 1:
            again = {"sample": data["sample"], "replay": data["distill"]["replay"], **_pairing(recipe, data)}
            pairs = partial(stages.pair_again, name=name, number=k)
            outputs = [f"rounds/{k}/{file}.jsonl" for file in ("student", "pairs")]
            tasks.append(_task(f"distill/{name}@{k}/pairs", pairs, again, after, *outputs))
            after.append(tasks[-1].name)
        tasks.append(
            replace(
                training, name=f"distill/{name}@{k}", work=work, after=tuple(after), outputs=(f"models/{name}@{k}",)
            )
        )
        tasks.append(_check_round(recipe, name, k, data))
    keep = partial(stages.keep_best, name=name)
    settings, after = {"rounds": recipe.distill.rounds}, [task.name for task in tasks]
    return [*tasks, _task(f"distill/{name}", keep, settings, after, "rounds.json", f"models/{name}")]


def _check_round(
    recipe: Recipe, name: str, number: int, data: Mapping[str, Any], asked: Mapping[str, Any] | None = None
) -> Task:
    """With the initial student, which is round 0, the teacher answers too."""
    settings = {"sampling": _once(data["evaluate"]["sampling"] or data["sample"]), **(asked or {})}
    trained = [f"distill/{name}@{number}"] if number else ["sft/student", _trained(recipe, "teacher")]
    before = [f"distill/{name}@{number - 1}/check"] if number else []
    work, after = partial(stages.check_round, name=name, number=number), [*trained, *before, "evaluate/judge"]
    return _task(f"distill/{name}@{number}/check", work, settings, after, f"rounds/{number}/check")


def _judge(recipe: Recipe, data: Mapping[str, Any]) -> Task:
    taught = ("judge", "judge_prompts", "judge_samples")
    judge = {"sample": _once(data["sample"])} | {name: data["evaluate"][name] for name in taught}
    made = ["judge"] if recipe.evaluate.trains_judge else []
    return _task("evaluate/judge", stages.train_judge, judge, ["prepare", "sft/student"], *made)


def _evaluate(recipe: Recipe, data: Mapping[str, Any]) -> list[Task]:
    tasks = []
    names = ["teacher", "student", *recipe.methods]
    sampling = {"sampling": _once(data["evaluate"]["sampling"] or data["sample"]), "split": data["evaluate"]["split"]}
    # A pairwise judge sets the others beside the initial student, which therefore answers first.
    for name in sorted(names, key=lambda name: name != "student") if recipe.evaluate.pairwise else names:
        after = [_trained(recipe, name), "evaluate/judge"]
        if recipe.evaluate.pairwise and name != "student":
            after.append("evaluate/student")
        work, settings = partial(stages.answer, name=name), sampling | _asked(recipe, data, name)
        outputs = [f"evaluation/{name}.jsonl", *_verdicts(recipe, name)]
        tasks.append(_task(f"evaluate/{name}", work, settings, after, *outputs))
    answers = [f"evaluate/{name}" for name in names]
    for label, scorer in zip(recipe.evaluate.others, data["evaluate"]["also"], strict=True):
        outputs = [f"evaluation/scores/{label}/{name}.jsonl" for name in names]
        also = partial(stages.score_also, label=label, names=names)
        tasks.append(_task(f"evaluate/also-{label}", also, {"scorer": scorer}, answers, *outputs))
    table = partial(stages.summarise, names=names)
    beside = [f"evaluate/also-{label}" for label in recipe.evaluate.others]
    asked = {"models": names, "table": TABLE}
    tasks.append(_task("evaluate/results", table, asked, [*answers, *beside], "evaluation/results.json"))
    if recipe.evaluate.calibration:
        students = names[1:] if recipe.evaluate.calibration.of == "all" else ["student", names[-1]]
        tasks.append(_calibrate(data, students))
    shown = [task.name for task in tasks if task.name in ("evaluate/results", "evaluate/calibration")]
    return [*tasks, _task("report", stages.report, {}, shown, "report.html", "report.md")]


def _verdicts(recipe: Recipe, name: str) -> list[str]:
    """Where a pairwise judge's replies on a model's answers go."""
    if not recipe.evaluate.pairwise:
        return []
    opponents = ["reference"] if name == "student" else ["reference", "student"]
    return [f"evaluation/verdicts/{name}-{opponent}.jsonl" for opponent in opponents]


def _calibrate(data: Mapping[str, Any], names: list[str]) -> Task:
    settings = {
        "calibration": _said(data["evaluate"]["calibration"]),
        "sample": data["sample"],
        "split": data["evaluate"]["split"],
        "normalise": _normalise(data),
    }
    after = ["sft/student", *(f"distill/{name}" for name in names[1:]), "evaluate/judge"]
    work = partial(stages.calibrate, names=names)
    outputs = [f"evaluation/calibration/{name}.jsonl" for name in names]
    return _task("evaluate/calibration", work, settings, after, *outputs, "evaluation/calibration.json")


def _task(name: str, work: stages.Stage, settings: Mapping[str, Any], after: list[str], *outputs: str) -> Task:
    return Task(name, work, settings, tuple(after), outputs)


def _todo(run: Run, tasks: list[Task], marks: Mapping[str, str], force: set[str]) -> list[Task]:
    """The tasks that are not done, and all that follow one of them."""
    again: set[str] = set()
    for task in tasks:
        done = _done(run, task, marks[task.name]) and task.stage not in force
        if not done or again & set(task.after):
            again.add(task.name)
    return [task for task in tasks if task.name in again]


def _done(run: Run, task: Task, mark: str) -> bool:
    record = run.finished(task.name) or {}
    return record.get("fingerprint") == mark and run.amiss(task.outputs, record.get("sizes", {})) is None


def _greet(run: Run, seed: int, display: Display) -> None:
    """Refuse a folder of a newer plad; say what becomes of one of an older, and of one of another seed.

    Folders from before formats were recorded are of format 2.
    """
    manifest = run.manifest
    written, by = manifest.get("format", 2), manifest.get("plad", "another version")
    if not isinstance(written, int):
        raise PladError(f"{run.path('manifest.json')} is damaged (its format is {written!r}). Delete it to run anew.")
    if written > FORMAT:
        raise PladError(
            f"a run folder of format {FORMAT} or older can be opened, but {run.folder} is of format {written}, written "
            f"by plad {by}. Install that version or a later one, or choose another folder with --out."
        )
    if written < FORMAT:
        display.say(
            f"{run.folder} is of format {written}, written by plad {by}; this plad writes format {FORMAT}. "
            "Every stage runs again; files stay until they are replaced, and stored answers are used again."
        )
    if (old := manifest.get("seed", seed)) != seed:
        display.say(f"{run.folder} was made with seed {old}, and every task depends on it; the seed is now {seed}.")


def _tell(run: Run, tasks: list[Task], todo: list[Task], force: set[str], display: Display) -> None:
    """Say what is kept, what is done again, and why, before anything is done."""
    kept = [task.name for task in tasks if task not in todo]
    names = {"tasks": [task.name for task in tasks], "done": kept, "todo": [task.name for task in todo]}
    display.event("plan", folder=str(run.folder), **names)
    if not todo:
        display.say(f"{run.folder}: all {len(tasks)} tasks are done.")
    elif kept:
        display.say(f"{run.folder}: {len(kept)} of {len(tasks)} tasks are done; continuing with {todo[0].name}.")
    again = [task for task in todo if run.finished(task.name)]
    reasons = {task.name: reason for task in again if (reason := _why_again(run, task, force))}
    for name, reason in reasons.items():
        display.say(f"  {name} runs again: {reason}")
    if reasons and (follow := [task.name for task in again if task.name not in reasons]):
        display.say(f"  and what follows: {', '.join(follow)}")


def _why_again(run: Run, task: Task, force: set[str]) -> str | None:
    """Why a task that was finished is due, if that is not for one it follows."""
    record = run.finished(task.name) or {}
    if task.stage in force:
        return "it is forced"
    differing = changes(record.get("settings", {}), task.settings)
    told = "; ".join(f"{key}: {old} → {new}" for key, old, new in differing)
    return told or run.amiss(task.outputs, record.get("sizes", {}))


def _wanted(tasks: Sequence[Task], due: Sequence[Task]) -> tuple[list[str], bool]:
    """The tasks whose outputs the due ones read, and whether what a person looks at is all that is wanted of them."""
    if not due:
        return ["evaluate/results", "report"], True
    after = {task.name: task.after for task in tasks}
    wanted = [task.name for task in due]
    for name in wanted:
        wanted += [before for before in after.get(name, ()) if before not in wanted]
    return wanted, all(task.stage == "report" or task.name == "evaluate/results" for task in due)


def _only(tasks: list[Task], todo: list[Task], stage: str) -> list[Task]:
    before = [task.name for task in todo if STAGES.index(task.stage) < STAGES.index(stage)]
    if before:
        raise PladError(
            f"{stage} needs the stages before it, but {before[0]} is not done. Run `plad run` on the folder."
        )
    # The rounds of distill need the judge, which is of a later stage.
    needed = {name for task in tasks if task.stage == stage for name in task.after}
    return [task for task in tasks if task in todo and (task.stage == stage or task.name in needed)]


def _execute(run: Run, recipe: Recipe, task: Task, mark: str, display: Display, leader: Leader) -> None:
    display.event("task", name=task.name)
    workspace = run.workspace(task.name, mark)
    with timed() as seconds:
        if task.trains and leader.launch.several:
            summary = leader.train(Work(run.folder, task.name, workspace), display)
        else:
            summary = task.work(stages.Context(run, recipe, display, workspace))
    spent = {"seconds": seconds[0], "processor": seconds[1]}
    record = {**spent, "summary": summary, "settings": dict(task.settings)}
    run.record(task.name, fingerprint=mark, **record, sizes=run.sizes(task.outputs))
    shutil.rmtree(workspace, ignore_errors=True)
    display.event("done", name=task.name, seconds=seconds[0], summary=summary)


def _taken(run: Run, task: Task, mark: str, others: Iterable[Run], display: Display) -> bool:
    """Take a task's outputs from a run that has done it. A report is of one run, and names its times and versions."""
    source = next((other for other in others if task.stage != "report" and _done(other, task, mark)), None)
    if source is None:
        return False
    for output in task.outputs:
        link(source.path(output), run.path(output))
    run.record(task.name, **(source.finished(task.name) or {}))
    display.event("taken", name=task.name, source=str(source.folder))
    return True


@contextmanager
def _told_how_it_ends(run: Run, display: Display) -> Iterator[None]:
    """Tell the display and the folder that the work is over, and why where it came to no result."""
    failed = None
    try:
        yield
    except BaseException as error:
        failed = (run.manifest.get("doing") or {}).get("task")
        # Where the disk is full there is no room for the reason either.
        with suppress(OSError):
            run.end("stopped" if isinstance(error, KeyboardInterrupt) else "failed", _reason(error))
        raise
    finally:
        display.event("end", failed=failed)


def _reason(error: BaseException) -> str:
    """Of an error that nobody foresaw its kind alone: its text might hold what belongs in no file, such as a key."""
    return str(error) if isinstance(error, PladError) else type(error).__name__


@contextmanager
def _room_on_disk(folder: Path) -> Iterator[None]:
    """Turn the many errors of a full disk into one of ours; each library raises its own."""
    try:
        yield
    except PladError:
        raise
    except Exception as error:
        if not _is_full(error):
            raise
        raise PladError(
            f"a run needs room on disk, but the disk that holds {folder} is full. What is finished is kept. "
            "Free some space and run the same command again: it continues. "
            "Where there is space, look at quotas and at `ulimit -f`."
        ) from error


def _is_full(error: BaseException) -> bool:
    told = ("No space left on device", "Disk quota exceeded", "File too large", "file write failed", "or disk is full")
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(
        text in str(error) for text in told
    ):
        return True
    before = error.__cause__ or error.__context__
    return before is not None and _is_full(before)
