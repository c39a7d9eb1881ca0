from __future__ import annotations

import os

# Models of a few thousand parameters: a second thread only waits, for seconds where the machine is busy.
os.environ["OMP_NUM_THREADS"] = "1"
# Ray puts its workers behind everything else on the machine, where they may not come to start at all.
os.environ.setdefault("RAY_worker_niceness", "0")

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import Recorder, write_recipe

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what it puts in the background; the tests of Ctrl-C, and the processes that they start, want it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _store_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What fixtures generate is kept here, never in the user's own store."""
    os.environ["PLAD_CACHE"] = str(tmp_path_factory.mktemp("store"))


@pytest.fixture(autouse=True)
def _store_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store, so that no test is answered from another's."""
    monkeypatch.setenv("PLAD_CACHE", str(tmp_path / "store"))


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of a tiny run and, beside it, its data."""
    return write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="session")
def finished_run(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run. Read it or copy it; never write to it."""
    from plad.config import load_recipe
    from plad.pipeline import run

    return run(load_recipe(tiny_recipe), tmp_path_factory.mktemp("finished") / "run", Recorder()).folder


@pytest.fixture
def copy_of_run(finished_run: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a copy of the finished run, to do with as one likes."""

    def make() -> Path:
        return Path(shutil.copytree(finished_run, tmp_path / "copy"))

    return make
