from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_run import write_rows

from plad.data.preferences import hold_out, read_preferences
from plad.errors import PladError
from plad.records import PreferencePair, dump_lines

TURNS = [{"role": "user", "content": "hello"}]


def row(**changes: Any) -> dict[str, Any]:
    return {"prompt": "x", "chosen": "good", "rejected": "bad", **changes}


def test_a_table_of_texts_and_of_messages(tmp_path: Path) -> None:
    answer = [*TURNS, {"role": "assistant", "content": "hi"}]
    file = write_rows(tmp_path / "p.jsonl", [row(), row(prompt=TURNS, chosen=answer, other=1)])
    first, second = read_preferences(file)
    assert (first.prompt, first.chosen, first.rejected) == ("x", "good", "bad")
    assert (second.prompt, second.chosen) == (tuple(TURNS), "hi")


def test_a_run_has_its_own_pairs(tmp_path: Path) -> None:
    pair = PreferencePair("1", "x", "good", "bad", 0.5, 0.25)
    (tmp_path / "recipe.yaml").write_text("name: run")
    with pytest.raises(PladError, match=r"a run without pairs\.jsonl. Run `plad pair"):
        read_preferences(tmp_path)
    (tmp_path / "pairs.jsonl").write_text(dump_lines([pair]))
    assert read_preferences(tmp_path) == [pair]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"prompt": "x", "chosen": "good"}, "line 1: no column 'rejected'"),
        (row(chosen=""), "line 1: 'chosen' must not be empty"),
        (row(rejected=[{"role": "assistant"}]), r"line 1: 'rejected\[-1\].content' must hold text"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(PladError, match=message):
        read_preferences(write_rows(tmp_path / "p.jsonl", [bad]))


def test_no_prompt_is_on_both_sides() -> None:
    pairs = [PreferencePair(str(n), f"prompt {n % 20}", "good", "bad") for n in range(60)]
    training, apart = hold_out(pairs, 0.25, seed=1)
    assert (len(training), len(apart)) == (45, 15)
    assert not {pair.prompt for pair in training} & {pair.prompt for pair in apart}
    assert hold_out(pairs, 0.25, seed=1) == (training, apart)
    assert hold_out(pairs, 0.25, seed=2)[1] != apart
    # At least one prompt on either side.
    assert [len({p.prompt for p in side}) for side in hold_out(pairs, 0.001, 1)] == [19, 1]
    assert [len({p.prompt for p in side}) for side in hold_out(pairs, 0.999, 1)] == [1, 19]


@pytest.mark.parametrize(("share", "count", "message"), [(0, 5, "between 0 and 1"), (0.5, 1, "two prompts or more")])
def test_what_cannot_be_divided_is_refused(share: float, count: int, message: str) -> None:
    with pytest.raises(PladError, match=message):
        hold_out([PreferencePair(str(n), f"{n}", "a", "b") for n in range(count)], share, 1)
