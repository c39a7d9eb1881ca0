"""A limit on the size of files: as a full disk it stops the run with one line, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_run import REPORTS, TASKS, Recorder, differing, finished

from plad.config import load_recipe
from plad.errors import PladError
from plad.generation import Store
from plad.pipeline import run
from plad.records import Generation

resource = pytest.importorskip("resource", reason="limits are Unix's")


@contextmanager
def files_of(size: int) -> Iterator[None]:
    """Within, no file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_file_that_may_grow_no_further_loses_nothing(tiny_recipe: Path, finished_run: Path, tmp_path: Path) -> None:
    """First there is no room for a tokenizer, then none for weights; then there is."""
    recipe, folder, kept = load_recipe(tiny_recipe), tmp_path / "run", []
    tokenizer, weights = ("tokenizer.json", "model.safetensors")
    sizes = [(finished_run / "models" / "teacher" / name).stat().st_size for name in (tokenizer, weights)]
    for size in sizes:
        with files_of(size - 1), pytest.raises(PladError, match="a run needs room on disk, but the disk that holds"):
            run(recipe, folder, Recorder())
        kept.append(list(finished(folder)))
    assert kept[0] == ["prepare/check"]
    assert kept[1][:2] == ["prepare/check", "prepare"]
    assert len(kept[1]) < len(TASKS)
    run(recipe, folder, Recorder())
    assert differing(folder, finished_run) <= REPORTS


def test_a_store_without_room_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put({"model": "m"}, "first", Generation("", "answer"), "me")

    def fill() -> None:
        for number in range(100):
            store.put({"model": "m"}, str(number), Generation("", "x" * 4000), "me")

    with files_of(70_000), pytest.raises(PladError, match=r"generations\.db, but it can't be used: .* make room"):
        fill()
    assert store.get(["first"])["first"].response == "answer"
    store.put({"model": "m"}, "last", Generation("", "answer"), "me")
    assert store.damaged() == []
    store.close()
