"""The run folder: whole files or none, one process at a time, and workspaces that do not outlive their inputs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plad.errors import PladError
from plad.records import Prompt
from plad.runs import (
    Run,
    describe_path,
    fingerprint,
    publish,
    timed,
    write_json,
    write_jsonl,
    write_text,
)


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "one\r\ntwo\n☃")
    assert path.read_bytes() == "one\r\ntwo\n☃".encode()
    write_text(path, "three")
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_crash_in_the_middle_leaves_the_old_file(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*((os, "fsync") if moment == "fsync" else (Path, "replace")), crash)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new and longer")
    monkeypatch.undo()
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_records_that_fail_half_way_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    write_jsonl(path, [Prompt("1", "x")])

    def broken() -> object:
        yield Prompt("2", "y")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_jsonl(path, broken())  # type: ignore[arg-type]
    assert path.read_text() == '{"id": "1", "prompt": "x"}\n'


def test_json_refuses_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


HOLDER = """
import sys, time
from pathlib import Path
from plad.runs import Run
with Run(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that has the folder by now."""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    first = hold(run.folder)
    try:
        with pytest.raises(PladError, match=f"in use by process {first.pid} on ") as caught, run.lock():
            pytest.fail("two processes hold the folder")
        assert "--out" in str(caught.value)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with run.lock():
        assert str(os.getpid()) in run.path(".lock.owner").read_text()


def test_the_lock_is_released_and_its_own_error_is_told_from_others(tmp_path: Path) -> None:
    from filelock import Timeout

    run = Run(tmp_path)
    with pytest.raises(Timeout), run.lock():
        raise Timeout("another file, inside the work")
    with run.lock():
        pass


def test_two_folders_are_two_locks(tmp_path: Path) -> None:
    with Run(tmp_path / "a").lock(), Run(tmp_path / "b").lock():
        pass


def test_publish_puts_a_folder_in_place_of_the_older(tmp_path: Path) -> None:
    source, target = tmp_path / "work" / "new", tmp_path / "models" / "student"
    for text in ("first", "second"):
        write_text(source / "weights", text)
        publish(source, target)
        assert (target / "weights").read_text() == text
        assert not source.exists()
    assert [p.name for p in target.parent.iterdir()] == ["student"]


def test_publish_recovers_from_a_crash_between_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "new", tmp_path / "models" / "student"
    write_text(target / "weights", "old")
    write_text(source / "weights", "new")
    real, calls = Path.replace, []

    def second_fails(self: Path, to: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, to)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(KeyboardInterrupt):
        publish(source, target)
    monkeypatch.undo()
    assert (source / "weights").read_text() == "new", "the finished work is still there"
    publish(source, target)
    assert (target / "weights").read_text() == "new"
    assert [p.name for p in target.parent.iterdir()] == ["student"]


def test_a_workspace_lives_as_long_as_its_inputs(tmp_path: Path) -> None:
    run, one, two = Run(tmp_path), "1" * 64, "2" * 64
    first = run.workspace("sft/teacher", one)
    other = run.workspace("sft/teacher-b", one)
    write_text(first / "checkpoint", "half")
    assert run.workspace("sft/teacher", one) == first
    assert (first / "checkpoint").read_text() == "half"
    second = run.workspace("sft/teacher", two)
    assert second != first
    assert not first.exists()
    assert other.exists(), "another task whose name begins alike"


def test_work_that_nothing_goes_on_from_is_removed(tmp_path: Path) -> None:
    """A process may be killed after it has recorded a task and before it has cleared up behind it."""
    run, one, two = Run(tmp_path), "1" * 64, "2" * 64
    done, due, stale = (
        run.workspace("sft/teacher", one),
        run.workspace("distill/plad@2", one),
        run.workspace("pair", one),
    )
    run.drop_workspaces({"distill/plad@2": one, "pair": two})
    assert (done.exists(), due.exists(), stale.exists()) == (False, True, False)


def test_an_output_is_missed_when_it_is_gone_or_of_another_size(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_text(tmp_path / "models" / "a" / "weights", "1234")
    write_text(tmp_path / "pairs.json", "12")
    outputs = ["models/a", "pairs.json"]
    sizes = run.sizes(outputs)
    assert sizes == {"models/a/weights": 4, "pairs.json": 2}
    assert run.amiss(outputs, sizes) is None
    write_text(tmp_path / "pairs.json", "1")
    assert run.amiss(outputs, sizes) == "pairs.json has 1 bytes and had 2: it was cut short or edited"
    assert run.amiss(outputs, {}) is None, "a folder from before sizes were recorded"
    (tmp_path / "pairs.json").unlink()
    assert run.amiss(outputs, {}) == "pairs.json is gone"
    (tmp_path / "models" / "a" / "weights").unlink()
    assert run.amiss(["models/a"], sizes) == "models/a/weights is gone"


def test_the_manifest_keeps_tasks_over_starts(tmp_path: Path) -> None:
    run = Run(tmp_path / "new")
    assert run.manifest == {}
    run.start("name: x\n", seed=3, form=2)
    created = run.manifest["created"]
    run.record("sft/teacher", fingerprint="abc", summary={"steps": 2})
    run.record("sample/teacher", fingerprint="def")
    run.start("name: y\n", seed=4, form=2)
    assert run.path("recipe.yaml").read_text() == "name: y\n"
    assert (run.manifest["seed"], run.manifest["created"]) == (4, created)
    assert run.manifest["versions"]["torch"]
    done = run.finished("sft/teacher")
    assert done is not None
    assert (done["fingerprint"], done["summary"]) == ("abc", {"steps": 2})
    run.begin("sft/teacher", ["never heard of"])
    assert run.finished("sft/teacher") is None
    assert run.finished("sample/teacher") is not None


def test_a_damaged_manifest_is_told(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"tasks": ')
    with pytest.raises(PladError, match=r"manifest\.json is damaged"):
        Run(tmp_path).finished("x")


def test_fingerprints_see_values_and_not_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": (1, 2), "a": 1})
    different = [{"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": [1]}, {"a": None}, {"a": 1.5}]
    assert len({fingerprint(value) for value in different}) == len(different)


def test_describing_a_path_notices_every_edit(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_text(folder / "a", "1")
    seen = [json.dumps(describe_path(folder))]
    write_text(folder / "b", "1")
    seen.append(json.dumps(describe_path(folder)))
    os.utime(folder / "a", ns=(1, 1))
    seen.append(json.dumps(describe_path(folder)))
    write_text(folder / "b", "22")
    seen.append(json.dumps(describe_path(folder)))
    assert len(set(seen)) == 4
    assert describe_path(tmp_path / "gone") == []
    assert describe_path(folder / "b")[0][1] == 2


def test_timed_measures_what_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock, and of two cores that worked for most of it."""
    clock, cores = iter([10.0, 12.3456]), iter([100.0, 104.5])
    monkeypatch.setattr("plad.runs.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("plad.runs.time.process_time", lambda: next(cores))
    with timed() as seconds:
        assert seconds == []
    assert seconds == [2.35, 4.5]
