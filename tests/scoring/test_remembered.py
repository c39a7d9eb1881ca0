"""The store of scores, the scorer that looks into it, and a function as a scorer."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from plad.errors import PladError
from plad.records import Prompt
from plad.scoring import Function, Length, RewardModel
from plad.scoring.cached import Cached, identity
from plad.scoring.store import ScoreStore, key

PROMPTS = [Prompt("1", "one"), Prompt("2", "two", "reference"), Prompt("3", "two")]


class Counting:
    """Scores by length, and remembers what it was asked."""

    identity = "counting"
    description = "letters"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str], progress: object = None) -> list[float]:
        self.asked += [(prompt.id, response) for prompt, response in zip(prompts, responses, strict=True)]
        return [len(response) / 3 for response in responses]


def test_nothing_is_scored_twice_in_one_process_or_the_next(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    with ScoreStore(tmp_path / "scores.sqlite") as store:
        assert Cached(first, store).score(PROMPTS, ["a", "bb", "bb"]) == [1 / 3, 2 / 3, 2 / 3]
    with ScoreStore(tmp_path / "scores.sqlite") as store:
        again = Cached(second, store).score([PROMPTS[1], PROMPTS[0], PROMPTS[0]], ["bb", "new", "new"])
    assert again == [2 / 3, 1.0, 1.0]
    # Prompt 3 reads as prompt 2 does, but has no reference, which a scorer may look at.
    assert first.asked == [("1", "a"), ("2", "bb"), ("3", "bb")]
    assert second.asked == [("1", "new")]
    # Closed, the store is one file, and an empty one that a process holds while it opens it.
    assert sorted(os.listdir(tmp_path)) == [".scores.sqlite.lock", "scores.sqlite"]


def test_what_a_run_beside_has_said_is_taken_from_there(tmp_path: Path) -> None:
    here, there, nowhere, damaged = (tmp_path / name / "scores.sqlite" for name in ("a", "b", "c", "d"))
    damaged.parent.mkdir()
    damaged.write_bytes(b"not a database, and nobody's error here" * 99)
    with ScoreStore(there) as store:
        Cached(Counting(), store).score(PROMPTS[:1], ["a"])
        used = Counting()
        with ScoreStore(tmp_path / "e" / "scores.sqlite", [there]) as other:
            Cached(used, other).score(PROMPTS[:1], ["a"])
        assert used.asked == [("1", "a")], "one in use is left alone"
    files, second = sorted(os.listdir(there.parent)), Counting()
    with ScoreStore(here, [nowhere, damaged, there]) as store:
        assert Cached(second, store).score(PROMPTS, ["a", "bb", "bb"]) == [1 / 3, 2 / 3, 2 / 3]
    assert second.asked == [("2", "bb"), ("3", "bb")]
    assert sorted(os.listdir(there.parent)) == files
    with sqlite3.connect(there) as file:
        assert file.execute("SELECT count(*) FROM said").fetchone() == (1,), "nothing was written there"
    assert not nowhere.exists()
    third = Counting()
    with ScoreStore(here) as store:
        Cached(third, store).score(PROMPTS[:1], ["a"])
    assert third.asked == [], "what was taken is kept here too"


def test_progress_counts_what_was_known_too(tmp_path: Path) -> None:
    done: list[int] = []
    with ScoreStore(tmp_path / "s") as store:
        Cached(Length(), store).score(PROMPTS, ["a", "b", "b"])
        Cached(Length(), store).score(PROMPTS, ["a", "b c", "b"], done.append)
    assert sum(done) == 3


def test_another_scorer_or_other_settings_have_scores_of_their_own(tmp_path: Path, tiny_deberta: str) -> None:
    model = Path(tiny_deberta)
    scorers = [Length(), RewardModel(model="m"), RewardModel(model="m", max_tokens=9), RewardModel(model=str(model))]
    names = {identity(scorer) for scorer in scorers}
    before = identity(scorers[3])
    os.utime(model / "model.safetensors", ns=(1, 1))
    assert len(names | {identity(scorers[3])}) == 5
    assert identity(scorers[3]) != before


def test_equal_parts_have_equal_keys_and_no_joining_of_parts_does() -> None:
    chat = ({"role": "user", "content": "x"},)
    assert key("a", chat) == key("a", [{"role": "user", "content": "x"}])
    assert len({key("a", "bc"), key("ab", "c"), key("a", "b", "c"), key("a", None), key("a", "null")}) == 5


def test_many_keys_and_all_floats_come_back_as_they_were(tmp_path: Path) -> None:
    values = {str(n): 0.1 * n - 7e-17 for n in range(1201)} | {"inf": float("-inf")}
    with ScoreStore(tmp_path / "s") as store:
        store.keep(values)
        assert store.find([*values, "missing"]) == values


def test_a_killed_process_leaves_whole_rows(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from plad.scoring.store import ScoreStore\n"
        "store = ScoreStore(Path(sys.argv[1])); store.keep({'a': 1.5})\n"
        "store._file.execute('BEGIN'); store._file.execute(\"INSERT INTO said VALUES ('b', '2')\"); os._exit(9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], timeout=60, check=False)
    assert ended.returncode == 9
    with ScoreStore(tmp_path / "s") as store:
        assert store.find(["a", "b"]) == {"a": 1.5}


def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    with ScoreStore(tmp_path / "s") as one, ScoreStore(tmp_path / "s") as two:
        one.keep({"a": 1})
        two.keep({"b": 2})
        assert one.find(["a", "b"]) == {"a": 1, "b": 2}
    assert sqlite3.connect(tmp_path / "s").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_damaged_store_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("no database, but a text that is long enough to be taken for the head of one" * 9)
    with pytest.raises(PladError, match="is damaged"):
        ScoreStore(tmp_path / "s")


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(folder: Path, name: str, body: str) -> str:
    (folder / f"{name}.py").write_text(body)
    return f"{name}:score"


def test_a_function_scores_by_its_import_path(working_folder: Path) -> None:
    body = "def score(prompts, responses, power=1):\n    '''Letters shared.'''\n"
    body += "    return [len(set(p.text) & set(r)) ** power for p, r in zip(prompts, responses)]\n"
    scorer = Function(path=module(working_folder, "shared_letters", body), options={"power": 2})
    assert scorer.score(PROMPTS[:2], ["on", "xyz"]) == [4.0, 0.0]
    assert scorer.description == "shared_letters:score: Letters shared."
    assert str(working_folder) not in sys.path
    before = scorer.identity
    (working_folder / "shared_letters.py").write_text(body + "# edited\n")
    assert Function(**scorer.model_dump()).identity != before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def score(p, r): return [1.0]", "each of 2 responses, but gave 1"),
        ("def score(p, r): return [1.0, float('nan')]", "finite numbers, but gave nan"),
        ("def score(p, r): return [1.0, 'good']", "finite numbers, but gave 'good'"),
        ("def scores(p, r): return [1.0, 2.0]", "no function 'score'. Did you mean 'scores'"),
        ("import no_such_module", "does not import: No module named 'no_such_module'"),
    ],
)
def test_a_function_that_gives_no_scores_is_refused(
    working_folder: Path, request: pytest.FixtureRequest, body: str, message: str
) -> None:
    name = f"broken_{request.node.callspec.indices['body']}"
    with pytest.raises(PladError, match=message):
        Function(path=module(working_folder, name, body)).score(PROMPTS[:2], ["a", "b"])


@pytest.mark.parametrize("path", ["score", "package.module", "a b:c", "a:", ":c"])
def test_what_is_no_import_path_is_refused_with_the_recipe(path: str) -> None:
    with pytest.raises(ValueError, match=r"package\.module:function"):
        Function(path=path)
