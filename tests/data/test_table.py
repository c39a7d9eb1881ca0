import json

import pytest
from pydantic import ValidationError

from plad.data.source import prompt_id
from plad.data.table import Columns, Table
from plad.errors import PladError


def prompts(tmp_path, *rows, **columns):
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(Table(path=str(file), columns=Columns(**columns)).prompts())


def test_text_reference_and_derived_id(tmp_path):
    first, second, third = prompts(
        tmp_path, {"prompt": "a", "reference": " b\n"}, {"prompt": "a", "reference": ""}, {"prompt": "a"}
    )
    assert (first.id, first.prompt, first.reference) == (prompt_id("a"), "a", "b")
    assert second == third
    assert second.reference is None


def test_named_columns(tmp_path):
    (prompt,) = prompts(tmp_path, {"q": "a", "gold": "b", "key": 7}, prompt="q", reference="gold", id="key")
    assert (prompt.id, prompt.prompt, prompt.reference) == ("7", "a", "b")


def test_references_can_be_left_unread(tmp_path):
    (prompt,) = prompts(tmp_path, {"prompt": "a", "reference": 3}, reference=None)
    assert prompt.reference is None


def test_messages(tmp_path):
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "Ann"}]
    (prompt,) = prompts(tmp_path, {"prompt": talk})
    assert prompt.prompt == ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})


def test_messages_in_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    file = tmp_path / "a.parquet"
    rows = [{"prompt": [{"role": "user", "content": "Hi"}], "reference": "Ho"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    (prompt,) = Table(path=str(file)).prompts()
    assert (prompt.prompt, prompt.reference) == (({"role": "user", "content": "Hi"},), "Ho")


def user(content="Hi", role="user"):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"promt": "a"}, {}, "no column 'prompt'; there are promt. Did you mean 'promt'"),
        ({}, {}, "there are none"),
        ({"prompt": "a"}, {"reference": "gold"}, "no column 'gold'"),
        ({"prompt": "a"}, {"id": "key"}, "no column 'key'"),
        ({"prompt": ""}, {}, "must not be empty"),
        ({"prompt": " \n"}, {}, "must not be empty"),
        ({"prompt": None}, {}, r"holds nothing \(null\)"),
        ({"prompt": 42}, {}, r"text or a list of messages, but holds '42' \(int\)"),
        ({"prompt": {"text": "a"}}, {}, r"\(dict\)"),
        ({"prompt": "a\x00b"}, {}, r"holds U\+0000"),
        ({"prompt": "a\ud800"}, {}, r"holds U\+D800"),
        ({"prompt": "a", "reference": "\udfff"}, {}, r"'reference' must be valid text"),
        ({"prompt": "a", "reference": ["b"]}, {}, r"'reference' must hold text.*\(list\)"),
        ({"prompt": "a", "id": " "}, {"id": "id"}, "'id' must not be empty"),
        ({"prompt": "a", "id": True}, {"id": "id"}, r"'id' must hold text.*\(bool\)"),
        ({"prompt": []}, {}, "is an empty list"),
        ({"prompt": [user(), user(role="assistant")]}, {}, "ends with the assistant's"),
        ({"prompt": [user(role="usr")]}, {}, "but is 'usr'. Did you mean 'user'"),
        ({"prompt": [user(role=None)]}, {}, "but is None"),
        ({"prompt": ["Hi"]}, {}, r"prompt\[0\] must be a message"),
        ({"prompt": [{"role": "user"}]}, {}, r"prompt\[0\] must be a message"),
        ({"prompt": [user(), user("")]}, {}, r"prompt\[1\].content' must not be empty"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path, row, columns, message):
    good = {"prompt": "fine", "reference": "r", "gold": "g", "key": "k", "id": "i"}
    with pytest.raises(PladError, match=f"data.jsonl, line 2: .*{message}"):
        prompts(tmp_path, good, row, **columns)


def test_zero_examples(tmp_path):
    with pytest.raises(PladError, match="holds no example"):
        prompts(tmp_path)


@pytest.mark.parametrize(("origin", "found"), [({}, "neither"), ({"path": "a", "hub": "b"}, "both")])
def test_one_origin(origin, found):
    with pytest.raises(ValidationError, match=f"either `path` or `hub`, but {found} is set"):
        Table(**origin)


def test_streaming_is_of_a_hub_data_set():
    with pytest.raises(ValidationError, match="`streaming` is how a `hub` data set is read"):
        Table(path="data.jsonl", streaming=True)


def test_a_streamed_table_gives_the_prompts_of_one_that_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "train.jsonl").write_text('{"prompt": "one", "reference": "a"}\n{"prompt": "two", "reference": null}\n')
    whole, streamed = (list(Table(hub=str(tmp_path), streaming=streaming).prompts()) for streaming in (False, True))
    assert whole == streamed
    assert [(prompt.prompt, prompt.reference) for prompt in streamed] == [("one", "a"), ("two", None)]
