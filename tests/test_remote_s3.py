"""Data and runs in S3, as a server on this machine speaks it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_run import Recorder, no_trace, rows, write_recipe, write_rows

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")

from plad.config import load_recipe  # noqa: E402
from plad.data import Table  # noqa: E402
from plad.data.rows import read_path  # noqa: E402
from plad.errors import PladError  # noqa: E402
from plad.pipeline import run  # noqa: E402
from plad.remote import Place, folder_of, looked_at  # noqa: E402
from plad.urls import Remote, connected  # noqa: E402

SECRET = "a-secret-of-the-store"


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """A server with one bucket, `bucket`."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()  # one that another test made has other credentials
        system, _ = connected("s3://bucket")
        system.mkdir("bucket")
        yield system
    server.stop()


def test_tables_are_read_from_a_bucket(store: Any, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    some = rows()
    write_rows(tmp_path / "a.jsonl", some[:40])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(write_rows(tmp_path / "b", some[40:60]).read_bytes()))
    pq.write_table(pa.Table.from_pylist(some[60:]), tmp_path / "c.parquet")
    for name in ("a.jsonl", "b.jsonl.gz", "c.parquet"):
        store.put_file(str(tmp_path / name), f"bucket/data/{name}")
    store.pipe_file("bucket/data/readme.txt", b"no table")
    assert [prompt.prompt for prompt in Table(path="s3://bucket/data").prompts()] == [row["prompt"] for row in some]
    assert [row for _, row in read_path("s3://bucket/data/*.jsonl*")] == some[:60]
    assert next(read_path("s3://bucket/data/c.parquet"))[0] == "s3://bucket/data/c.parquet, row 1"


def test_an_edit_in_a_bucket_is_an_edit(store: Any) -> None:
    store.pipe_file("bucket/edited.jsonl", b"one")
    before = Remote("s3://bucket/edited.jsonl").describe()
    assert Remote("s3://bucket/edited.jsonl").describe() == before
    store.pipe_file("bucket/edited.jsonl", b"two")
    assert Remote("s3://bucket/edited.jsonl").describe() != before


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/none.jsonl", "no table at"),
        ("s3://nobucket/x.jsonl", "no table at|no such file or bucket"),
        ("s3://bucket/readme.txt", "the format of a table is told by its ending"),
    ],
)
def test_data_that_is_not_there(store: Any, url: str, message: str) -> None:
    store.pipe_file("bucket/readme.txt", b"no table")
    with pytest.raises(PladError, match=message):
        list(read_path(url))


def test_a_bucket_that_is_not_there_is_refused_before_any_work(store: Any, tiny_recipe: Path) -> None:
    url, told = "s3://nobucket/run", Recorder()
    with pytest.raises(PladError, match=r"s3://nobucket/run/\.lease\.json must be there, but the store has no such"):
        run(load_recipe(tiny_recipe), folder_of(url), told, only="prepare", url=url)
    assert told.worked == []


def test_a_run_in_a_bucket_goes_on_elsewhere(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_file(str(write_rows(tmp_path / "data.jsonl", rows())), "bucket/prompts.jsonl")
    recipe = write_recipe(tmp_path / "task", data="s3://bucket/prompts.jsonl")  # type: ignore[arg-type]
    url, told = "s3://bucket/runs/tiny", Recorder()
    first = run(load_recipe(recipe), folder_of(url), told, only="prepare", url=url)
    assert told.worked == ["prepare/check", "prepare"]
    assert set((first.finished("prepare") or {})["sizes"]) <= set(Place(url).sizes())
    monkeypatch.setenv("PLAD_CACHE", str(tmp_path / "another"))
    again = Recorder()
    run(load_recipe(looked_at(url) / "recipe.yaml"), folder_of(url), again, only="prepare", url=url)
    assert again.worked == []
    here = folder_of(url)
    assert (here / "data" / "test.jsonl").read_bytes() == first.path("data", "test.jsonl").read_bytes()
    no_trace(here, SECRET)
    no_trace(first.folder, SECRET)
    assert not any(SECRET.encode() in (Place(url).read(name) or b"") for name in Place(url).sizes())
