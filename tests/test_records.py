"""Records to lines and back, and what a broken line says."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plad.errors import PladError
from plad.records import (
    EvalRow,
    Generation,
    PreferencePair,
    Prompt,
    Record,
    as_text,
    dump_lines,
    read_jsonl,
    read_records,
    together,
)
from plad.runs import write_jsonl

TEXT = st.text()
"""Any text, line ends and separators of every script included."""
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": TEXT})
PROMPT = TEXT | st.lists(MESSAGE, min_size=1, max_size=3).map(tuple)
RECORDS: dict[type[Record], Any] = {
    Prompt: st.builds(Prompt, TEXT, PROMPT, st.none() | TEXT),
    Generation: st.builds(Generation, TEXT, TEXT, st.booleans(), st.integers(0, 9), st.integers(0, 9)),
    PreferencePair: st.builds(PreferencePair, TEXT, PROMPT, TEXT, TEXT, st.none() | NUMBER, st.none() | NUMBER),
    EvalRow: st.builds(EvalRow, TEXT, TEXT, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, st.integers(0, 9), st.booleans()),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_what_is_written_is_read(kind: type[Record], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("records") / "records.jsonl"

    @given(st.lists(RECORDS[kind], max_size=4))
    def round_trip(records: list[Record]) -> None:
        path.write_bytes(dump_lines(records).encode())
        assert path.read_bytes().count(b"\n") == len(records), "one line a record"
        assert list(read_jsonl(path, kind)) == records

    round_trip()


def test_a_line_is_plain_json_in_the_order_of_the_fields_without_what_is_missing() -> None:
    pair = PreferencePair("1", ({"role": "user", "content": "Grüße\n☃"},), "a", "b", rejected_score=0.0)
    assert dump_lines([pair]) == (
        '{"id": "1", "prompt": [{"role": "user", "content": "Grüße\\n☃"}], "chosen": "a", "rejected": "b", '
        '"rejected_score": 0.0}\n'
    )


GOOD = '{"id": "1", "prompt": "x"}'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "2", "prom', "line 2: "),
        ("", "Expecting value"),
        ('{"id": "2"}', "'prompt'"),
        ('{"id": "2", "prompt": "x", "promt": "y"}', "no field 'promt'; its fields are id, prompt, reference"),
        ('["id", "prompt"]', "must hold an object"),
        ("null", "must hold an object"),
        ("7", "must hold an object"),
    ],
)
def test_a_broken_line_is_named(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    read = read_jsonl(path, Prompt)
    assert next(read) == Prompt("1", "x")
    with pytest.raises(PladError, match=told) as caught:
        next(read)
    assert str(caught.value).startswith(f"{path}, line 2: ")


def test_an_error_of_the_reader_of_records_is_not_blamed_on_the_line(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(f"{GOOD}\n")
    with pytest.raises(PladError, match=r"^mine$"):
        read_jsonl(path, Prompt).throw(PladError("mine"))


def test_swapping_twice_is_nothing() -> None:
    pair = PreferencePair("1", "x", "good", "bad", 2.0, 1.0)
    assert pair.swap() == PreferencePair("1", "x", "bad", "good", 1.0, 2.0)
    assert pair.swap().swap() == pair


def test_records_are_frozen_and_hold_tuples() -> None:
    prompt = Prompt.from_json(json.loads('{"id": "1", "prompt": [{"role": "user", "content": "x"}]}'))
    assert prompt.prompt == ({"role": "user", "content": "x"},)
    for kind in RECORDS:
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]
        assert fields(kind)[0].name == "id"  # type: ignore[arg-type]


def test_text_of_a_conversation() -> None:
    turns = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    assert as_text(turns) == "user: a\n\nassistant: b"
    assert Prompt("1", "plain").text == "plain"


def test_what_is_made_of_each_line_is_made_where_it_is_read(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "prompts.jsonl", (Prompt(str(k), f"text {k}") for k in range(600)))
    prompts = read_records(tmp_path / "prompts.jsonl", Prompt)
    texts = prompts.each(lambda prompt: prompt.text)
    assert (len(texts), texts[599], list(texts[1:3])) == (600, "text 599", ["text 1", "text 2"])
    assert list(texts) == [prompt.text for prompt in prompts]
    assert [len(some) for some in together(iter(texts), 250)] == [250, 250, 100]
    assert list(together([], 5)) == []
