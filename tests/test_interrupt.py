"""Ctrl-C: once, and the step that is under way is finished and kept; twice, and the process stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers import Answer, asked_of, completion, stub
from tiny_run import REPORTS, Recorder, differing, finished, write_recipe

from plad import interrupt
from plad.config import load_recipe
from plad.generation import Cached, OpenAI, Sampling, Store, Usage
from plad.models import PromptFormat
from plad.pipeline import run
from plad.records import Prompt


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_is_noted_and_the_second_stops_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    reached: list[str] = []

    def work() -> None:
        with interrupt.step_by_step():
            interrupt.check()
            press()
            reached.append(f"asked: {interrupt.asked()}")
            press()
            reached.append("beyond the second")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["asked: True"]
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
    assert not interrupt.asked()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_noted_one_ends_the_work_where_it_is_checked() -> None:
    with interrupt.step_by_step():
        press()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    interrupt.check()


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    heard: list[int] = []
    old = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with interrupt.step_by_step():
            press()
            assert not interrupt.asked()
    finally:
        signal.signal(signal.SIGINT, old)
    assert heard == [signal.SIGINT]
    inside: list[bool] = []

    def elsewhere() -> None:
        with interrupt.step_by_step():
            inside.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert inside == [True]


class Impatient(Recorder):
    """Presses Ctrl-C when a bar has come so far, once or more often."""

    def __init__(self, label: str, at: int, times: int = 1):
        super().__init__()
        self.label, self.at, self.times, self.seen = label, at, times, 0

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Any]:
        def advance(done: int, values: Any, total: int | None = None) -> None:
            if label == self.label:
                self.seen = done
                for _ in range(self.times if done == self.at else 0):
                    press()

        yield advance


def steps_of(folder: Path) -> set[str]:
    return {path.name for path in folder.glob(".work/sft-teacher-*/checkpoint-*")}


def test_training_stops_after_the_step_and_goes_on_behind_it(tmp_path: Path, finished_run: Path) -> None:
    recipe, folder = load_recipe(write_recipe(tmp_path / "in", data=data_of(finished_run))), tmp_path / "run"
    once = Impatient("training teacher", at=7)
    run(recipe, folder, once, only="prepare")
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, once, only="sft")
    assert once.seen == 7, "no step was begun after it"
    assert steps_of(folder) == {"checkpoint-7"}, "checkpoint_every is 100"
    assert list(finished(folder)) == ["prepare/check", "prepare"]

    twice = Impatient("training teacher", at=12, times=2)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, twice, only="sft")
    assert twice.seen == 12
    assert steps_of(folder) == {"checkpoint-7"}, "nothing was waited for"

    run(recipe, folder, Recorder(), only="sft")
    weights = "models/teacher/model.safetensors"
    assert (folder / weights).read_bytes() == (finished_run / weights).read_bytes()


@pytest.mark.slow
def test_sampling_stops_after_the_batch_and_keeps_it(tmp_path: Path, finished_run: Path) -> None:
    recipe, folder = load_recipe(write_recipe(tmp_path / "in", data=data_of(finished_run))), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(recipe, folder, Impatient("sampling sample teacher", at=6))
    store = Store()
    assert sum(entry.generations for entry in store.entries()) == 8, "two batches of 4"
    store.close()
    run(recipe, folder, Recorder())
    assert finished(folder)["sample/teacher"]["summary"]["reused"] == 8
    assert differing(folder, finished_run) <= REPORTS


def data_of(folder: Path) -> Path:
    return Path(load_recipe(folder / "recipe.yaml").task.source.path)


def test_a_server_is_waited_for_and_asked_no_more(tmp_path: Path) -> None:
    """What was asked is paid for: it is kept, and nothing is asked for twice."""
    pytest.importorskip("openai")
    prompts = [Prompt(f"p{n}", f"prompt {n}") for n in range(12)]
    with stub(lambda body: Answer(completion(f"answer to {asked_of(body)}"), delay=0.1)).running() as server:
        spec = OpenAI(model="m", base_url=server.url, api_key_env=None, limits={"concurrency": 3})
        cached = Cached(spec.generator(PromptFormat(), Usage()), store := Store(tmp_path), "test")
        sampling, arrived = Sampling(temperature=0, max_new_tokens=6), []

        def work() -> None:
            for generation in cached.generate(prompts, sampling, seed=1):
                arrived.append(generation)
                if len(arrived) == 1:
                    press()

        with interrupt.step_by_step(), pytest.raises(KeyboardInterrupt):
            work()
        asked = len(server.seen)
        assert 3 <= asked <= 6
        assert len(arrived) == asked, "every request under way came in"
        assert len(list(cached.generate(prompts, sampling, seed=1))) == 12
        assert len(server.seen) == 12
    store.close()
