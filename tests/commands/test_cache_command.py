from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from plad.cli import main
from plad.generation import Store
from plad.generation.store import model_id
from plad.records import Generation

LOCAL, REMOTE = {"backend": "hf", "model": "abc"}, {"backend": "openai", "model": "big", "revision": None}


def plad(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["cache", *arguments])


@pytest.fixture
def store() -> Store:
    """Two generations of long ago and one of now, in the store of the environment."""
    made, now = Store(), time.time()
    for key, identity, age in (("a", LOCAL, 10.5), ("b", LOCAL, 0), ("c", REMOTE, 9.5)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("plad.generation.store.time.time", lambda age=age: now - 86400 * age)
            made.put(identity, key, Generation("", f"answer {key}", tokens=1500), payer="")
    return made


def test_list(store: Store) -> None:
    told = plad("list").output.splitlines()
    assert told[0] == f"{store.path}: 3 generations of 2 models"
    assert told[1].split()[:2] == [model_id(LOCAL), "2"]
    assert "3,000 tokens" in told[1]
    assert told[2].endswith("backend=openai model=big")
    assert [entry["generations"] for entry in json.loads(plad("list", "--json").output)] == [2, 1]


def test_verify(store: Store) -> None:
    assert plad("verify").output == f"{store.path}: nothing is damaged.\n"
    with sqlite3.connect(store.path) as raw:
        raw.execute("UPDATE generations SET answer = '{}' WHERE key = 'b'")
    told = plad("verify")
    assert told.exit_code == 2
    assert f"1 generations in {store.path} are damaged. Remove them with --mend." in told.output
    assert plad("verify", "--mend").output == f"{store.path}: removed 1 damaged generations.\n"
    assert plad("verify").exit_code == 0
    assert store.get("abc").keys() == {"a", "c"}


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--older-than", "10"], "bc"),
        (["--older-than", "9"], "b"),
        (["--model", model_id(LOCAL)], "c"),
        (["--model", model_id(LOCAL), "--older-than", "1"], "bc"),
        (["--all"], ""),
    ],
)
def test_prune(store: Store, arguments: list[str], left: str) -> None:
    told = plad("prune", *arguments)
    assert told.output == f"{store.path}: removed {3 - len(left)} generations.\n"
    assert store.get("abc").keys() == set(left)


def test_prune_wants_to_know_what(store: Store) -> None:
    told = plad("prune")
    assert told.exit_code == 2
    assert "Give --older-than, --model or --all." in told.output
    assert len(store.get("abc")) == 3


def test_a_store_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "generations.db").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("PLAD_CACHE", str(tmp_path))
    told = plad("list")
    assert told.exit_code == 2
    assert "name another folder on a local disk in PLAD_CACHE." in told.output
