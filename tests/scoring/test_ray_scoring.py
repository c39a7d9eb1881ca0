"""Scoring on a local cluster of two workers, against the same scorer in this process."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plad.config import Evaluation
from plad.errors import PladError
from plad.records import Prompt
from plad.scoring import Length, RayScoring, RewardModel, Rouge
from plad.scoring.cached import Cached, identity
from plad.scoring.judging import same_model
from plad.scoring.ray import Worker
from plad.scoring.store import ScoreStore

WORDS = ["a", "the", "cat", "dog", "sat", "ran", "two", "numbers", "returns", "list", "of", "sorts", "it", "x"]
TURNS = (
    {"role": "user", "content": "the cat"},
    {"role": "assistant", "content": "sat"},
    {"role": "user", "content": "a"},
)
PROMPTS = [Prompt(f"p{n}", TURNS if n == 5 else f"the {WORDS[n % 14]}", f"a {WORDS[n % 3]}") for n in range(30)]
RESPONSES = [" ".join(WORDS[(n + k) % 14] for k in range(1 + n % 6)) for n in range(29)] + [""]
ASKED = (PROMPTS + PROMPTS[:4], RESPONSES + RESPONSES[:4])
"""Thirty pairs, the last without an answer, and four of them again."""


def logged(path: Path) -> None:
    """Have the store's file note each row that is written, also where it replaces another."""
    with ScoreStore(path):
        pass
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE written (key TEXT)")
        file.execute("CREATE TRIGGER log AFTER INSERT ON said BEGIN INSERT INTO written VALUES (new.key); END")


def rows(path: Path, table: str) -> list[str]:
    with sqlite3.connect(path) as file:
        return [key for (key,) in file.execute(f"SELECT key FROM {table}")]


def scored(scorer: Any, path: Path, done: list[int] | None = None) -> list[float]:
    with ScoreStore(path) as store:
        return Cached(scorer, store).score(*ASKED, done.append if done is not None else None)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five, so that there are several for each worker."""
    monkeypatch.setattr("plad.scoring.cached.CHUNK", 5)
    monkeypatch.setattr("plad.scoring.ray.CHUNK", 5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    yield
    ray.shutdown()


def test_where_a_scorer_runs_is_not_what_it_is() -> None:
    one, spread = RewardModel(model="m"), RayScoring(scorer=RewardModel(model="m"), workers=4)
    assert identity(spread) == identity(one)
    assert spread.description == one.description
    assert same_model(spread, one)
    assert not same_model(spread, RewardModel(model="n"))


def test_what_must_be_trained_or_asks_a_server_is_refused() -> None:
    with pytest.raises(ValueError, match="must score as it is; give the `folder`"):
        Evaluation.model_validate({"judge": {"type": "ray", "scorer": {"type": "bradley_terry"}}})
    with pytest.raises(ValueError, match="'judge'"):
        Evaluation.model_validate({"judge": {"type": "ray", "scorer": {"type": "judge"}}})


def test_without_ray_it_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PladError, match=r"a scorer of type ray needs Ray. Run: pip install 'plad\[ray\]'"):
        RayScoring(scorer=Length()).score(PROMPTS[:1], ["a"])


@pytest.mark.slow
@pytest.mark.usefixtures("cluster", "small_chunks")
def test_a_cluster_gives_the_scores_of_one_process(tiny_deberta: str, tmp_path: Path) -> None:
    scorer = RewardModel(model=tiny_deberta, batch_size=3)
    here, there = tmp_path / "here.sqlite", tmp_path / "there.sqlite"
    logged(there)
    expected, done = scored(scorer, here), list[int]()
    assert len(set(expected)) > 20
    assert scored(RayScoring(scorer=scorer, workers=2, cpus=0.5), there, done) == expected
    assert sum(done) == len(expected)
    assert sorted(rows(there, "written")) == sorted(rows(here, "said"))
    before = rows(there, "written")
    assert scored(scorer, there) == expected
    assert rows(there, "written") == before, "one process finds what the cluster kept"


@pytest.mark.slow
@pytest.mark.usefixtures("cluster", "small_chunks")
def test_a_worker_that_is_killed_takes_no_score_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died, path = tmp_path / "died", tmp_path / "scores.sqlite"

    class Mortal(Worker):
        """The first that comes to the prompt numbered 7 dies of it."""

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            if '"p7"' in row["asked"] and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(row)

    monkeypatch.setattr("plad.scoring.ray.Worker", Mortal)
    scorer = Rouge(metric="rouge1")
    logged(path)
    assert scored(RayScoring(scorer=scorer, workers=2, cpus=0.5), path) == scored(scorer, tmp_path / "here.sqlite")
    assert died.exists()
    written = rows(path, "written")
    assert len(written) == len(set(written)) == len(rows(path, "said")) == 30


@pytest.mark.slow
@pytest.mark.usefixtures("cluster", "small_chunks")
def test_two_who_score_the_same_into_one_store_leave_one_row_each(tmp_path: Path) -> None:
    path, scorer = tmp_path / "scores.sqlite", RayScoring(scorer=Length(), workers=1, cpus=0.25)

    def work(_: int) -> Sequence[float]:
        return scored(scorer, path)

    with ThreadPoolExecutor(2) as two:
        one, other = two.map(work, range(2))
    assert one == other == scorer.score(*ASKED) == [float(len(response.split())) for response in ASKED[1]]
    assert len(rows(path, "said")) == 30
