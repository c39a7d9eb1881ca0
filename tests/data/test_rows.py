import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plad.data.rows import read_hub, read_path
from plad.errors import PladError


def read(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(place.removeprefix(f"{file}, "), dict(row)) for place, row in read_path(file)]


def test_json_lines_with_mark_carriage_returns_and_blank_lines(tmp_path):
    rows = read(tmp_path, "a.jsonl", '\ufeff{"p": "x"}\r\n\r\n{"p": "y\u2028z"}\n')
    assert rows == [("line 1", {"p": "x"}), ("line 3", {"p": "y\u2028z"})]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.b.jsonl.gz"])
def test_packed_json_lines(tmp_path, name):
    assert read(tmp_path, name, gzip.compress(b'{"p": 1}')) == [("line 1", {"p": 1})]


def test_csv_counts_physical_lines(tmp_path):
    rows = read(tmp_path, "a.csv", '\ufeffp,r\r\n"one\r\ntwo",NA\r\n"say ""hi""",\r\n')
    assert rows == [("line 2", {"p": "one\ntwo", "r": "NA"}), ("line 4", {"p": 'say "hi"', "r": ""})]


def test_tab_separated(tmp_path):
    assert read(tmp_path, "a.tsv", "p\tr\na,b\tc\n") == [("line 2", {"p": "a,b", "r": "c"})]


def test_parquet(tmp_path):
    import pandas

    file = tmp_path / "a.parquet"
    pandas.DataFrame({"p": ["x", "y"]}).to_parquet(file)
    assert list(read_path(file)) == [(f"{file}, row 1", {"p": "x"}), (f"{file}, row 2", {"p": "y"})]


def test_folders_and_globs_by_path(tmp_path):
    for name in ("b.jsonl", "a.csv", "c.txt"):
        (tmp_path / name).write_text("p\nfrom a\n" if name == "a.csv" else '{"p": "from b"}')
    assert [row["p"] for _, row in read_path(tmp_path)] == ["from a", "from b"]
    assert [row["p"] for _, row in read_path(f"{tmp_path}/*.jsonl")] == ["from b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"p": 1}\n{"p": \n', "line 2: not JSON"),
        ("a.jsonl", "[1]\n", "line 1: each line must be a JSON object, but this is a list"),
        ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("a.jsonl", b'{"p": 1}\n\xff\n', "line 2: not UTF-8"),
        ("a.jsonl", '{"p": 1}'.encode("utf-16"), "line 1: not UTF-8"),
        ("a.jsonl.gz", b"plain", "can't be read"),
        ("a.jsonl.gz", gzip.compress(b'{"p": 1}\n' * 99, mtime=0)[:-9], "can't be read"),
        ("a.csv", "p,r\na\n", "line 2: the header names 2 columns, but this row has fewer"),
        ("a.csv", "p,r\na,b\na,b,c\n", "line 3: the header names 2 columns, but this row has more"),
        ("a.csv", 'p,r\n"a,b\n', "not CSV"),
        ("a.csv", "p,p\na,b\n", "'p' stands there twice"),
        ("a.parquet", b"not parquet", "not a readable Parquet file"),
        ("a.parquet", b"", "not a readable Parquet file"),
        ("a.txt", "text", "must be one of .jsonl"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    with pytest.raises(PladError, match=message):
        read(tmp_path, name, content)


@pytest.mark.parametrize(
    ("name", "message"), [("none.jsonl", "no file '"), ("*.jsonl", "no file matches"), ("", "no table in folder")]
)
def test_nothing_there(tmp_path, name, message):
    with pytest.raises(PladError, match=message):
        list(read_path(tmp_path / name))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_local_folder_in_the_hubs_layout(tmp_path, monkeypatch, streaming):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text('{"p": "x"}\n')
    options = {"name": None, "data_dir": "data", "revision": None, "streaming": streaming}
    rows = list(read_hub(str(tmp_path), split="train", **options))
    assert rows == [(f"{tmp_path}, row 1", {"p": "x"})]
    with pytest.raises(PladError, match=r"split 'dev'.*couldn't be loaded"):
        list(read_hub(str(tmp_path), split="dev", **options))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_hub_data_set_is_streamed_in_its_order_and_leaves_no_copy(tmp_path, monkeypatch, kind):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "set"
    folder.mkdir()
    wanted = [{"p": f"prompt {k}", "r": f"reference {k}"} for k in range(5_000)]
    for part, rows in enumerate((wanted[:3_000], wanted[3_000:])):
        file = folder / f"train-{part:05}-of-00002.{kind}"
        if kind == "jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows), file)
    options = {"name": None, "data_dir": None, "split": "train", "revision": None}
    found = list(read_hub(str(folder), **options, streaming=True))
    assert [row for _, row in found] == wanted
    assert found[3_000][0] == f"{folder}, row 3001"
    assert not list((tmp_path / "cache").rglob("*.arrow"))
    assert [row for _, row in read_hub(str(folder), **options)] == wanted
    assert list((tmp_path / "cache").rglob("*.arrow")), "the copy that streaming does without"


def test_a_streamed_data_set_that_breaks_says_after_which_row(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "train-0.jsonl").write_text('{"p": "x"}\n{"p": "y"}\n')
    (tmp_path / "train-1.jsonl").write_text('{"p": "z"}\n{"p": \n')
    options = {"name": None, "data_dir": None, "split": "train", "revision": None, "streaming": True}
    rows = read_hub(str(tmp_path), **options)
    assert [next(rows)[1]["p"], next(rows)[1]["p"]] == ["x", "y"]
    with pytest.raises(PladError, match=r"couldn't be read after row 2: "):
        list(rows)
