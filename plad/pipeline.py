"""A run: the tasks of its plan that are not done yet, in order, in one folder.

A task is done when the folder records it under the same fingerprint (`planning`); everything else is run.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from plad import interrupt, stages
from plad.changes import changes
from plad.config import Recipe, check
from plad.errors import PladError, nearest
from plad.launching import Leader, Place, Work, follow, gpus, place_of, train_in_processes
from plad.planning import FORMAT, STAGES, Task, fingerprints, plan
from plad.progress import Display
from plad.remote import mirrored
from plad.runs import Run, link, timed
from plad.tracking import check_installed
from plad.training.launch import Launch


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
        PladError: the recipe makes no sense as a whole, the folder is in use or of a newer plad, a name is no stage, an
            earlier stage is missing, or the disk is full.
        KeyboardInterrupt: Ctrl-C was pressed; what was under way is kept, up to its last step.
    """
    for name in (*force, *([only] if only else [])):
        if name not in STAGES:
            raise PladError(f"there is no stage {name!r}.{nearest(name, STAGES)} Stages: {', '.join(STAGES)}.")
    check(recipe)
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
    tasks, forced = plan(recipe), set(force)
    marks = fingerprints(tasks, recipe.seed)
    with (
        _room_on_disk(folder),
        run.lock(),
        interrupt.step_by_step(),
        leader.until_the_end(),
        mirrored(run, url, display.say) as mirror,
    ):

        def work_off() -> bool:
            """Do what is due, and say whether that was all: what a source gives is known once it has been read."""
            todo = _todo(run, tasks, marks, forced)
            _tell(run, tasks, todo, forced, display)
            run.drop_workspaces({task.name: marks[task.name] for task in todo})
            due = _only(tasks, todo, only) if only else todo
            if any(task.stage in ("sft", "distill") for task in due):
                check_installed(recipe.trackers)
            mirror.fetch(*_wanted(tasks, due))
            if due:
                run.start(recipe.to_yaml(), recipe.seed, FORMAT, [task.name for task in tasks])
            for task in due:
                interrupt.check()
                # What is due behind it is forgotten with it: should this process end here, it is still due.
                run.begin(task.name, _behind(task, todo))
                mirror.note()
                if task.stage in forced or not _taken(run, task, marks[task.name], map(Run, beside), display):
                    _execute(run, recipe, task, marks[task.name], display, leader)
                mirror.finish(task.outputs)
                if task.handed_on is not None and any(_of_other_rows(run, run, it) for it in tasks if it not in todo):
                    return False
            return True

        _greet(run, recipe.seed, display)
        with _told_how_it_ends(run, display):
            while not work_off():
                pass
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


def _todo(run: Run, tasks: list[Task], marks: Mapping[str, str], force: set[str]) -> list[Task]:
    """The tasks that are not done, and what follows one that is made again though its settings are as they were.

    What follows a task whose settings changed is due by its own fingerprint, as far as it depends on them.
    """
    due, unsure = [], set[str]()
    for task in tasks:
        if task.stage in force or _amiss(run, task) or unsure & set(task.after):
            unsure.add(task.name)
        if task.name in unsure or not _same(run, task, marks[task.name]):
            due.append(task)
    return due


def _amiss(run: Run, task: Task) -> str | None:
    """What is wrong with what a task has left, by its record."""
    return run.amiss(task.outputs, (run.finished(task.name) or {}).get("sizes", {}))


def _done(run: Run, task: Task, mark: str) -> bool:
    return _same(run, task, mark) and _amiss(run, task) is None


def _same(run: Run, task: Task, mark: str) -> bool:
    """Whether a task was made from the settings and the rows that it would be made from now."""
    return (run.finished(task.name) or {}).get("fingerprint") == mark and not _of_other_rows(run, run, task)


def _rows(run: Run) -> dict[str, str]:
    """The digest of the rows that the task's source gave, for the record of what is made of them."""
    summary = (run.finished("prepare") or {}).get("summary") or {}
    return {"rows": summary["rows"]} if "rows" in summary else {}


def _of_other_rows(run: Run, maker: Run, task: Task) -> bool:
    """Whether what a run made is of other rows than a run's source gave last, which its settings need not tell.

    Of a folder that was written before they were recorded, and while `prepare` is due, nothing is known.
    """
    made_of, now = (maker.finished(task.name) or {}).get("rows"), _rows(run).get("rows")
    return None not in (made_of, now) and made_of != now


def _behind(task: Task, todo: Sequence[Task]) -> list[str]:
    """What is due and depends on a task."""
    found: list[str] = []
    for other in todo:
        if {task.name, *found} & set(other.after):
            found.append(other.name)
    return found


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
    rows = "it is made of other rows than the task's source gives now" if _of_other_rows(run, run, task) else None
    return told or _amiss(run, task) or rows


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
    record = {**spent, "summary": summary, "settings": dict(task.settings), **(_rows(run) if task.after else {})}
    run.record(task.name, fingerprint=mark, **record, sizes=run.sizes(task.outputs))
    shutil.rmtree(workspace, ignore_errors=True)
    display.event("done", name=task.name, seconds=seconds[0], summary=summary)


def _taken(run: Run, task: Task, mark: str, others: Iterable[Run], display: Display) -> bool:
    """Take a task's outputs from a run that has done it. A report is of one run, and names its times and versions."""
    had = (other for other in others if _done(other, task, mark) and not _of_other_rows(run, other, task))
    source = None if task.stage == "report" else next(had, None)
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
    if isinstance(error, sqlite3.OperationalError) and "disk I/O error" in str(error):  # its word for a quota
        return True
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(
        text in str(error) for text in told
    ):
        return True
    before = error.__cause__ or error.__context__
    return before is not None and _is_full(before)
