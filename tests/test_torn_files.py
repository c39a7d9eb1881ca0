"""As after a power cut: the tail of any file may be missing. It is made again, or refused with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import REPORTS, TASKS, Recorder, different, differing, finished, outputs

from plad.config import load_recipe
from plad.errors import PladError
from plad.generation import Store
from plad.pipeline import run
from plad.records import Generation
from plad.scoring.store import ScoreStore

Copy = Callable[[], Path]


def cut(file: Path, keep: int) -> None:
    with file.open("r+b") as opened:
        opened.truncate(keep)


def last_line(file: Path) -> int:
    """Where the last line of a file begins: cut there, it still reads well."""
    return file.read_bytes()[:-1].rfind(b"\n") + 1


def again(folder: Path, only: str | None = None) -> Recorder:
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml"), folder, display, only=only)
    return display


def owned(folder: Path) -> dict[str, str]:
    """The task that every output file of a run belongs to."""
    return {file: task for task, record in finished(folder).items() for file in record["sizes"]}


def test_every_file_of_a_run_belongs_to_a_task_that_knows_its_size(finished_run: Path) -> None:
    beside = {"recipe.yaml", "manifest.json", "scores.sqlite", ".lock", ".lock.owner", ".scores.sqlite.lock"}
    files = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    assert files - beside == set(owned(finished_run))
    sizes = {file: size for record in finished(finished_run).values() for file, size in record["sizes"].items()}
    assert sizes == {file: (finished_run / file).stat().st_size for file in sizes}


def test_any_output_cut_short_makes_its_task_due(copy_of_run: Copy) -> None:
    """Also where the cut is between two lines, so that every reader would be content."""
    from plad.runs import Run

    folder = copy_of_run()
    opened, tasks = Run(folder), finished(folder)
    for name, task in owned(folder).items():
        file, sizes = folder / name, tasks[task]["sizes"]
        whole = file.read_bytes()
        for keep in {0, len(whole) // 2, len(whole) - 1, last_line(file)} - {len(whole)}:
            cut(file, keep)
            found = opened.amiss([], sizes)
            told = f"{name} has {keep:,} bytes and had {len(whole):,}: it was cut short or edited"
            assert found == told
            file.write_bytes(whole)
        assert opened.amiss([], sizes) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data/distill.jsonl", "generations/teacher.jsonl", "pairs.jsonl", "models/seqkd"])
def test_what_was_cut_is_made_again_as_it_was(name: str, copy_of_run: Copy, finished_run: Path) -> None:
    folder = copy_of_run()
    file = folder / name if name.endswith("jsonl") else folder / name / "adapter_model.safetensors"
    before = outputs(folder)
    cut(file, last_line(file) if name.endswith("jsonl") else 100)
    display = again(folder)
    task = owned(finished_run)[str(file.relative_to(folder))]
    assert display.worked[0] == task
    [told] = [line for line in display.lines if "was cut short or edited" in line]
    assert told.startswith(f"  {task} runs again: {file.relative_to(folder)} has ")
    assert different(before, outputs(folder)) <= REPORTS
    assert differing(folder, finished_run) <= REPORTS


def test_results_cut_short_are_made_again(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before = outputs(folder)
    cut(folder / "evaluation" / "results.json", 300)
    assert again(folder).worked == ["evaluate/results", "report"]
    assert different(before, outputs(folder)) <= REPORTS


@pytest.mark.parametrize("keep", [1, 50, -2])
def test_a_manifest_cut_short_is_refused_with_the_remedy(keep: int, copy_of_run: Copy) -> None:
    folder = copy_of_run()
    manifest = folder / "manifest.json"
    cut(manifest, keep % manifest.stat().st_size)
    with pytest.raises(PladError, match=r"manifest\.json is damaged .* Delete it to run every stage again; models and"):
        again(folder)
    manifest.unlink()
    display = Recorder()
    with pytest.raises(PladError, match="needs the stages before it"):
        run(load_recipe(folder / "recipe.yaml"), folder, display, only="report")
    [todo] = [fields["todo"] for kind, fields in display.events if kind == "plan"]
    assert todo == TASKS


def test_a_recipe_cut_short_in_the_folder_is_refused(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    recipe = folder / "recipe.yaml"
    cut(recipe, recipe.stat().st_size // 2)
    with pytest.raises(PladError, match=r"recipe\.yaml"):
        load_recipe(recipe)


def fill(store: Store, count: int) -> None:
    for number in range(count):
        store.put({"model": "m"}, f"key {number}", Generation("", f"answer {number} " + "x" * 400, tokens=3), "me")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_store_cut_short_is_refused_with_the_remedy(share: float, tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, 200)
    store.close()
    assert not store.path.with_name(f"{store.path.name}-wal").exists(), "closing folds the log into the file"
    cut(store.path, int(share * store.path.stat().st_size))
    with pytest.raises(
        PladError, match=r"generations\.db, but it can't be used: .* Mend it or make room, or name anot"
    ):
        Store(tmp_path)


def test_a_store_of_which_nothing_is_left_is_a_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, 3)
    store.close()
    cut(store.path, 0)
    new = Store(tmp_path)
    assert new.get(["key 1"]) == {}
    fill(new, 3)
    assert len(new.get(["key 1", "key 2"])) == 2
    new.close()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_log_of_a_store_cut_short_loses_its_end_alone(share: float, tmp_path: Path) -> None:
    """A process that was killed leaves the log; the power that went with it may leave a part of the log."""
    store = Store(tmp_path / "one")
    fill(store, 20)
    log = store.path.with_name(f"{store.path.name}-wal")
    data, main = log.read_bytes(), store.path.read_bytes()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / store.path.name).write_bytes(main)
    (tmp_path / "two" / log.name).write_bytes(data[: int(share * len(data))])
    torn = Store(tmp_path / "two")
    assert torn.damaged() == []
    found = torn.get([f"key {number}" for number in range(20)])
    assert set(found) == {f"key {number}" for number in range(len(found))}, "the first ones"
    assert len(found) <= 20
    assert (len(found) == 0) == (share == 0.0)
    fill(torn, 20)
    assert len(torn.get([f"key {number}" for number in range(20)])) == 20
    torn.close()
    store.close()


def test_scores_cut_short_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    with ScoreStore(path) as store:
        store.keep({f"key {number}": [0.5] * 50 for number in range(200)})
    cut(path, path.stat().st_size // 2)

    def read() -> None:
        with ScoreStore(path) as store:
            store.find([f"key {number}" for number in range(200)])
            store.keep({"another": 1})

    with pytest.raises(PladError, match=r"scores\.sqlite should be a store of scores, but is damaged .* Delete it"):
        read()
    path.unlink()
    with ScoreStore(path) as store:
        assert store.find(["key 1"]) == {}
