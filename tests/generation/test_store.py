"""The store of generations: whole or not at all, several processes, and what is kept is what was written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from plad.errors import PladError
from plad.generation.store import Store, Usage, default_folder, generation_key, model_id
from plad.records import Generation

TEACHER = {"backend": "openai", "model": "big", "revision": None}
ANSWER = Generation("any", "Ein ☃\x00 answer\n", finished=False, tokens=7, sample=2, prompt_tokens=5)


def test_what_was_put_is_got_whatever_the_prompts_id(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(TEACHER, "k1", ANSWER, payer="run")
    store.close()
    store = Store(tmp_path)
    [(key, found)] = store.get(["k1", "k2"]).items()
    assert key == "k1"
    assert found == Generation("", "Ein ☃\x00 answer\n", finished=False, tokens=7, sample=2, prompt_tokens=5)
    assert len(store.get([f"k{n}" for n in range(2000)])) == 1, "more keys than one question may hold"


def test_every_part_of_the_key_counts() -> None:
    sampling = {"temperature": 0.7, "max_new_tokens": 8}
    keys = [
        generation_key("m", "prompt", sampling, 1, 0),
        generation_key("n", "prompt", sampling, 1, 0),
        generation_key("m", "prompt ", sampling, 1, 0),
        generation_key("m", "prompt", {**sampling, "temperature": 0.8}, 1, 0),
        generation_key("m", "prompt", sampling, 2, 0),
        generation_key("m", "prompt", sampling, 1, 1),
    ]
    assert len(set(keys)) == len(keys)
    assert generation_key("m", "prompt", dict(reversed(sampling.items())), 1, 0) == keys[0]
    assert model_id(TEACHER) == model_id(dict(reversed(TEACHER.items())))
    assert model_id(TEACHER) != model_id({**TEACHER, "revision": "2"})


def test_who_paid_for_what(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(TEACHER, "a", Generation("", "x", tokens=3, prompt_tokens=10), payer="one")
    store.put(TEACHER, "b", Generation("", "y", tokens=4, prompt_tokens=0, sample=1), payer="one")  # same request
    store.put(TEACHER, "c", Generation("", "z", tokens=50, prompt_tokens=60), payer="two")
    store.put({"backend": "hf", "model": "w"}, "d", Generation("", "free", tokens=9), payer="one")
    store.lose("one", Usage(20, 30, 1))
    assert store.spent("one") == Usage(10 + 20, 3 + 4 + 30, 2)
    assert store.spent("two") == Usage(60, 50, 1)
    assert store.spent("nobody") == Usage()
    store.prune(before=float("inf"))
    assert store.spent("two") == Usage(60, 50, 1), "what was paid stays paid"


def test_a_changed_byte_is_noticed_and_asked_for_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in ("a", "b", "c"):
        store.put(TEACHER, key, ANSWER, payer="")
    assert store.damaged() == []
    with sqlite3.connect(store.path) as raw:
        raw.execute("UPDATE generations SET answer = replace(answer, 'Ein', 'Kein') WHERE key = 'b'")
    assert store.damaged() == ["b"]
    assert store.get("abc").keys() == {"a", "c"}
    assert store.prune(keys=["b"]) == 1
    store.put(TEACHER, "b", ANSWER, payer="")
    assert store.get("abc").keys() == {"a", "b", "c"}


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "generations.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(PladError, match=r"generations\.db, but it can't be used: .*PLAD_CACHE"):
        Store(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(PladError, match="can't be used"):
        Store(file / "below")


def test_entries_and_pruning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = Store(tmp_path), iter([100.0, 200.0, 300.0])
    monkeypatch.setattr("plad.generation.store.time.time", lambda: next(clock))
    local = {"backend": "hf", "model": "w"}
    store.put(local, "a", Generation("", "x", tokens=3), payer="")
    store.put(TEACHER, "b", ANSWER, payer="")
    store.put(local, "c", Generation("", "y", tokens=4), payer="")
    first, second = store.entries()
    assert (first.identity, first.generations, first.tokens, first.oldest, first.newest) == (local, 2, 7, 100.0, 300.0)
    assert (second.id, second.generations) == (model_id(TEACHER), 1)
    assert store.prune(before=250.0, model=model_id(local)) == 1
    assert store.get("abc").keys() == {"b", "c"}
    assert store.prune(before=250.0) == 1
    assert [entry.identity for entry in store.entries()] == [local]


def test_the_folder_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAD_CACHE", str(tmp_path / "mine"))
    assert Store().path == tmp_path / "mine" / "generations.db"
    monkeypatch.delenv("PLAD_CACHE")
    assert default_folder() == Path.home() / ".cache" / "plad"


WRITER = """
import sys
from pathlib import Path
from plad.generation.store import Store
from plad.records import Generation
store, name = Store(Path(sys.argv[1])), sys.argv[2]
for n in range(200):
    store.put({"backend": "x", "model": name}, f"{name}-{n}", Generation("", f"{name} {n}", tokens=1), payer=name)
    store.put({"backend": "x", "model": "all"}, f"shared-{n}", Generation("", f"answer {n}", tokens=1), payer=name)
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], env=env, stderr=subprocess.PIPE, text=True) for name in "ab"]
    assert [(writer.communicate(timeout=100)[1], writer.returncode) for writer in writers] == [("", 0)] * 2
    store = Store(tmp_path)
    assert store.damaged() == []
    assert {entry.identity["model"]: entry.generations for entry in store.entries()} == {"a": 200, "b": 200, "all": 200}
    assert store.get(["b-17"])["b-17"].response == "b 17"
