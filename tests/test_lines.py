"""A file of records as a sequence that holds none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plad.errors import PladError
from plad.records import READ_AT_ONCE, Lines, Prompt, blocks, read_jsonl, read_records
from plad.runs import write_jsonl

PROMPTS = [Prompt(str(k), "é\u2028" * (k % 5) + f" {k}", "r" * k) for k in range(2 * READ_AT_ONCE + 3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "prompts.jsonl", (prompt for prompt in PROMPTS))
    return tmp_path / "prompts.jsonl"


def test_it_is_the_list_that_was_written(file: Path) -> None:
    found = read_records(file, Prompt)
    assert len(found) == len(PROMPTS)
    assert list(found) == PROMPTS == list(read_jsonl(file, Prompt))
    assert [found[k] for k in (0, 7, -1, 300)] == [PROMPTS[k] for k in (0, 7, -1, 300)]
    with pytest.raises(IndexError):
        found[len(PROMPTS)]


@pytest.mark.parametrize(
    "part", [slice(3, 9), slice(None, 5), slice(-4, None), slice(9, 3), slice(0, 20, 3), slice(None)]
)
def test_a_slice_is_that_of_the_list_and_can_be_sliced_again(file: Path, part: slice) -> None:
    found, expected = read_records(file, Prompt)[part], PROMPTS[part]
    assert (len(found), list(found)) == (len(expected), expected)
    assert list(found[1:3]) == expected[1:3]


def test_blocks_are_neighbours_and_the_rest() -> None:
    assert [list(some) for some in blocks(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "none.jsonl", iter(()))
    assert list(read_records(tmp_path / "none.jsonl", Prompt)) == []


def test_a_bad_line_is_named_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"id": "1", "prompt": "a"}\n{"id": "2"}\nno JSON\n')
    found = read_records(file, Prompt)
    assert found[0] == Prompt("1", "a")
    with pytest.raises(PladError, match=r"bad\.jsonl, line 2: not a Prompt"):
        found[1]
    with pytest.raises(PladError, match=r"bad\.jsonl, line 3"):
        list(found[2:])


def test_a_parser_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("[1]\n[2, 3]")
    assert list(Lines(tmp_path / "numbers", json.loads)) == [[1], [2, 3]]
