"""A run behind an URL: killed on one machine, it goes on on another, and nothing is made or paid for twice.

A machine here is a process with a cache folder of its own; the URL is a folder that all of them reach.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_run import RECIPE, REPORTS, TASKS, Recorder, differing, write_recipe

from plad import remote
from plad.cli import main
from plad.config import load_recipe
from plad.errors import PladError
from plad.generation import Store, Usage
from plad.pipeline import run
from plad.records import Generation
from plad.remote import Mirror, Place, folder_of, looked_at, mirrored
from plad.runs import LEASE, Run
from plad.scoring.store import ScoreStore
from plad.status import status
from plad.training.checkpoints import SIZES

OWN = {".mirror.json", LEASE}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket/run"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go to another machine."""
    monkeypatch.setattr(remote, "EVERY_S", 0.05)
    monkeypatch.setattr(remote, "SILENCE_S", 0.5)

    def go(name: str) -> None:
        monkeypatch.setenv("PLAD_CACHE", str(tmp_path / name))

    go("first")
    return go


def prepared(recipe: Path, url: str) -> Recorder:
    told = Recorder()
    run(load_recipe(recipe), folder_of(url), told, only="prepare", url=url)
    return told


def here(url: str) -> Run:
    return Run(folder_of(url))


def lease(owner: str, beat: int, at: str = "2026-01-01T00:00:00+00:00") -> bytes:
    about = {"owner": owner, "who": f"process 7 on {owner}", "beat": beat, "released": False, "wrote": owner}
    return json.dumps(about | {"at": at}).encode()


@pytest.mark.parametrize("form", ["memory://place/run", "file://{}/place/run"])
def test_a_place_has_files_by_their_path(form: str, tmp_path: Path) -> None:
    place = Place(form.format(tmp_path))
    assert (place.sizes(), place.read("a/b"), place.read_json("a/b")) == ({}, None, {})
    (tmp_path / "one").write_bytes(b"12345")
    place.put(tmp_path / "one", "a/one")
    place.write("a/b", b'{"x": 1}')
    assert place.sizes() == {"a/one": 5, "a/b": 8}
    assert (place.sizes("a/one"), place.sizes("c"), place.read_json("a/b")) == ({"a/one": 5}, {}, {"x": 1})
    place.get("a/one", tmp_path / "new" / "two")
    assert (tmp_path / "new" / "two").read_bytes() == b"12345"
    place.remove(["a/one", "never/there"])
    assert place.sizes() == {"a/b": 8}


def test_what_one_machine_prepared_is_done_on_another(
    tiny_recipe: Path, url: str, machine: Callable[[str], None]
) -> None:
    assert prepared(tiny_recipe, url).worked == ["prepare/check", "prepare"]
    first, place = here(url), Place(url)
    record = first.finished("prepare") or {}
    assert {name: size for name, size in place.sizes().items() if name in record["sizes"]} == record["sizes"]
    machine("second")
    again = prepared(tiny_recipe, url)
    assert again.worked == []
    assert not here(url).path("data").exists(), "nothing is copied that no task needs"
    assert status(looked_at(url)).state == "partly done"
    assert differing(first.path("data"), here(url).path("data")) == set()
    assert not list(here(url).folder.glob("models/.tokenizer-*")), "nobody looks at a tokenizer"


def test_a_changed_file_of_the_same_length_replaces_the_old_one(
    tmp_path: Path, url: str, machine: Callable[[str], None]
) -> None:
    recipe = write_recipe(tmp_path / "task")
    prepared(recipe, url)
    machine("second")
    looked_at(url)
    machine("first")
    data = tmp_path / "task" / "data.jsonl"
    data.write_text(data.read_text().replace("red", "tan"))
    prepared(recipe, url)
    machine("second")
    texts = [(looked_at(url) / "data" / f"{name}.jsonl").read_text() for name in ("train", "distill", "test")]
    assert any("tan" in text for text in texts)
    assert not any("red" in text for text in texts)


def test_work_that_was_finished_and_not_copied_is_copied_later(
    tiny_recipe: Path, url: str, machine: Callable[[str], None]
) -> None:
    prepared(tiny_recipe, url)
    whole, place = Place(url).read("manifest.json"), Place(url)
    cut = json.loads(whole or b"")
    del cut["tasks"]["prepare"]
    place.write("manifest.json", json.dumps(cut).encode())
    place.remove(["data/test.jsonl"])
    assert prepared(tiny_recipe, url).worked == []
    assert "data/test.jsonl" in place.sizes()
    assert json.loads(place.read("manifest.json") or b"") == json.loads(whole or b"")


def test_a_living_machine_is_left_alone(tiny_recipe: Path, url: str, machine: Callable[[str], None]) -> None:
    place, over = Place(url), threading.Event()
    place.write(LEASE, lease("other", 1))

    def live() -> None:
        beat = 1
        while not over.wait(0.1):
            beat += 1
            place.write(LEASE, lease("other", beat))

    other = threading.Thread(target=live)
    other.start()
    try:
        with pytest.raises(PladError, match="in use by process 7 on other"):
            prepared(tiny_recipe, url)
    finally:
        over.set()
        other.join()
    assert set(place.sizes()) == {LEASE}


def test_a_silent_machine_is_waited_for_and_given_up(
    tiny_recipe: Path, url: str, machine: Callable[[str], None]
) -> None:
    Place(url).write(LEASE, lease("other", 1))
    started = time.monotonic()
    told = prepared(tiny_recipe, url)
    assert time.monotonic() - started >= 0.5
    assert any("process 7 on other did not give it back" in line for line in told.lines)
    assert told.worked == ["prepare/check", "prepare"]


def test_who_looks_at_a_run_sees_who_works_on_it(tiny_recipe: Path, url: str, machine: Callable[[str], None]) -> None:
    prepared(tiny_recipe, url)
    assert status(looked_at(url)).state == "partly done"
    Place(url).write(LEASE, lease("other", 1, datetime.now(UTC).isoformat()))
    machine("second")
    for _ in range(2):  # the second look is as fresh
        found = status(looked_at(url))
        assert (found.state, found.reason) == ("running", "process 7 on other")
    Place(url).write(LEASE, lease("other", 1))
    assert status(looked_at(url)).state == "partly done", "silent for months"


def test_commands_take_an_url_for_a_run(tiny_recipe: Path, url: str, machine: Callable[[str], None]) -> None:
    prepared(tiny_recipe, url)
    machine("second")
    told = CliRunner().invoke(main, ["status", url, "--json"])
    assert (told.exit_code, json.loads(told.stdout)["state"]) == (0, "partly done")
    again = CliRunner().invoke(main, ["prepare", url, "--set", "seed=7"])
    assert again.exit_code == 0, again.output
    assert Place(url).read_json("manifest.json")["seed"] == 7
    assert Place(url).read_json(LEASE)["released"]
    missing = CliRunner().invoke(main, ["show", f"{url}-of-nobody"])
    assert (missing.exit_code, "has a recipe.yaml, but" in missing.stderr) == (2, True)


def test_a_copy_that_takes_long_is_no_silence(tmp_path: Path, url: str, machine: Callable[[str], None]) -> None:
    with mirrored(Run(tmp_path), url, print) as mirror, mirror._lock:  # type: ignore[attr-defined]
        before = Place(url).read_json(LEASE)["beat"]
        time.sleep(0.5)
        assert Place(url).read_json(LEASE)["beat"] >= before + 2


def test_a_password_in_an_url_is_refused_unsaid() -> None:
    with pytest.raises(PladError, match="credentials have no place in an URL") as told:
        Place("ftp://me:hunter2@host/run")
    assert "hunter2" not in str(told.value)


def test_a_machine_that_was_given_up_stops(tmp_path: Path, url: str, machine: Callable[[str], None]) -> None:
    with mirrored(Run(tmp_path), url, print) as mirror:
        Place(url).write(LEASE, lease("other", 1))
        with pytest.raises(PladError, match="was taken over by process 7 on other"):
            mirror.note()
    assert Place(url).read_json(LEASE)["owner"] == "other"


def test_checkpoints_are_copied_when_they_are_whole(tmp_path: Path, url: str) -> None:
    place, folder = Place(url), Run(tmp_path / "run")
    mirror, work = Mirror(place, folder, "me"), folder.path(".work", "distill-plad-0")
    names = (
        "checkpoint-2/model.safetensors",
        f"checkpoint-2/{SIZES}",
        "checkpoint-4/model.safetensors",
        ".train.jsonl",
    )
    for name in (*names, "history.jsonl"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(name)
    order: list[str] = []
    put = place.put
    place.put = lambda file, name: (order.append(name), put(file, name))[1]  # type: ignore[method-assign]
    mirror._keep_work()
    root = ".work/distill-plad-0"
    assert sorted(order) == sorted([f"{root}/{names[0]}", f"{root}/{names[1]}", f"{root}/history.jsonl"])
    assert order[-1] == f"{root}/{names[1]}"
    mirror._keep_work()
    assert len(order) == 3, "what has not changed is not copied again"
    (work / names[1]).unlink()
    mirror._keep_work()
    assert set(place.sizes()) == {f"{root}/history.jsonl"}


def test_scores_are_copied_while_they_are_written_and_joined_with_ours(
    tmp_path: Path, url: str, machine: Callable[[str], None]
) -> None:
    with mirrored(Run(tmp_path / "one"), url, print) as mirror, ScoreStore(tmp_path / "one" / "scores.sqlite") as store:
        store.keep({"a": 1.0})
        mirror._keep_said()  # type: ignore[attr-defined]
    with ScoreStore(tmp_path / "two" / "scores.sqlite") as store:
        store.keep({"b": 2.0})
    with (
        mirrored(Run(tmp_path / "two"), url, print),
        ScoreStore(tmp_path / "two" / "scores.sqlite") as store,
    ):
        assert store.find(["a", "b"]) == {"a": 1.0, "b": 2.0}


def test_answers_and_what_they_cost_go_to_another_machines_store(
    tmp_path: Path, url: str, machine: Callable[[str], None]
) -> None:
    paid = Generation("", "yes", tokens=3, prompt_tokens=7)
    with mirrored(first := Run(tmp_path / "one"), url, print):
        store = Store(journal=first.answered)
        store.put({"model": "m"}, "k1", paid, "payer")
        store.lose("payer", Usage(5, 2))
    machine("second")
    for _ in range(2):  # and once alone
        with mirrored(Run(tmp_path / "two"), url, print):
            other = Store()
            assert other.get(["k1"]) == store.get(["k1"]) == {"k1": paid}
            assert other.spent("payer") == store.spent("payer") == Usage(12, 5, 2)


@pytest.mark.parametrize(
    ("url", "message"),
    [("nosuch://bucket/run", "a protocol that fsspec knows"), ("gs://bucket/run", r"pip install 'fsspec\[gs\]'")],
)
def test_a_protocol_that_nobody_speaks(url: str, message: str) -> None:
    with pytest.raises(PladError, match=message):
        Place(url)


def test_there_is_no_run(url: str) -> None:
    with pytest.raises(PladError, match=r"has a recipe\.yaml, but"):
        looked_at(url)


@pytest.mark.slow
@pytest.mark.timeout(900)  # four runs
def test_killed_on_two_machines_it_ends_on_a_third_as_if_nothing_had_been(
    tmp_path: Path, url: str, machine: Callable[[str], None]
) -> None:
    recipe = write_recipe(tmp_path / "task", RECIPE.replace("max_steps: 4", "max_steps: 4, checkpoint_every: 1"))
    machine("undisturbed")
    alone = run(load_recipe(recipe), tmp_path / "alone", Recorder())
    lost = [str(tmp_path / "first"), "sampling sample teacher", "9", str(tmp_path / "second"), "training plad", "3"]
    command = [sys.executable, str(Path(__file__).with_name("dying.py")), str(recipe), url, *lost]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    machine("third")
    steps: list[int] = []

    class Counting(Recorder):
        @contextmanager
        def bar(self, label: str, total: int | None) -> Iterator[Any]:
            def advance(done: int, values: Any, total: int | None = None) -> None:
                if label == "training plad":
                    steps.append(done)

            yield advance

    told = Counting()
    last = run(load_recipe(recipe), folder_of(url), told, url=url)
    assert told.worked == TASKS[TASKS.index("distill/plad") :]
    assert steps == [3, 4], "what it was lost in is done again, and no more"
    assert (last.finished("sample/teacher") or {})["summary"]["reused"] >= 8, "what the first machine sampled"
    assert differing(alone.folder, last.folder) - OWN - REPORTS == set()
    machine("fourth")
    assert status(looked_at(url)).state == "finished"
    assert not list(folder_of(url).rglob("*.safetensors")), "weights are not needed to look at results"
    run(load_recipe(recipe), folder_of(url), told := Recorder(), url=url)
    assert told.worked == []
