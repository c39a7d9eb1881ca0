from __future__ import annotations

import os

# Models of a few thousand parameters: a second thread only waits, for seconds where the machine is busy.
os.environ["OMP_NUM_THREADS"] = "1"

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import Recorder, write_recipe


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
