"""Which checkpoints are gone on from: those whose every file is as long as it was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_run_training import run

from plad.errors import PladError
from plad.training.checkpoints import SIZES, check_goes_on, is_whole, last_whole, seal


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints of steps 6 and 7."""
    folder = tmp_path_factory.mktemp("trained")
    run(folder)
    return folder


def test_a_real_checkpoint_is_sealed_with_all_its_files(trained: Path) -> None:
    checkpoint = trained / "checkpoint-6"
    assert is_whole(checkpoint)
    files = {file.name for file in checkpoint.iterdir()}
    assert set(json.loads((checkpoint / SIZES).read_text())) == files - {SIZES}
    wanted = {"adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json", "plad_totals.json"}
    assert wanted <= files


def test_each_file_cut_short_or_gone_makes_it_torn(trained: Path, tmp_path: Path) -> None:
    names = sorted(file.name for file in (trained / "checkpoint-6").iterdir())
    assert len(names) > 6
    for number, name in enumerate(names):
        for cut in ("byte", "all", "gone"):
            copy = Path(shutil.copytree(trained / "checkpoint-6", tmp_path / f"checkpoint-{number}-{cut}"))
            file = copy / name
            size = file.stat().st_size
            if cut == "gone":
                file.unlink()
            else:
                with file.open("r+b") as opened:
                    opened.truncate(size - 1 if cut == "byte" else 0)
            assert not is_whole(copy), (name, cut)


def test_training_goes_on_from_the_last_whole_one(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    with (folder / "checkpoint-7" / "optimizer.pt").open("r+b") as opened:
        opened.truncate(100)
    seen: list[int] = []
    run(folder, lambda done, total, logged: seen.append(done))
    assert seen == [7], "step 7 again, from the checkpoint of step 6"
    assert (folder / "history.jsonl").read_text() == (trained / "history.jsonl").read_text()


def test_only_torn_ones_are_dropped(tmp_path: Path) -> None:
    for name in ("checkpoint-1", "checkpoint-2", "checkpoint-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"1234")
    seal(tmp_path / "checkpoint-1")
    (tmp_path / "checkpoint-3" / SIZES).write_text("{}")
    (tmp_path / "other").mkdir()
    assert last_whole(tmp_path) == str(tmp_path / "checkpoint-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "other"]


def test_ten_steps_are_more_than_nine(tmp_path: Path) -> None:
    assert last_whole(tmp_path / "nowhere") is None
    for name in ("checkpoint-9", "checkpoint-10"):
        (tmp_path / name / "shards").mkdir(parents=True)
        (tmp_path / name / "shards" / "0").write_bytes(b"1234")
        seal(tmp_path / name)
    assert last_whole(tmp_path) == str(tmp_path / "checkpoint-10")
    (tmp_path / "checkpoint-10" / "shards" / "0").write_bytes(b"123")
    assert last_whole(tmp_path) == str(tmp_path / "checkpoint-9")


def test_a_checkpoint_of_another_strategy_is_refused(trained: Path, tmp_path: Path) -> None:
    """By the files that accelerate and DeepSpeed write; of plain ones the number of processes is no matter."""
    check_goes_on(trained / "checkpoint-6", "NO", 1)
    check_goes_on(trained / "checkpoint-6", "MULTI_GPU", 2)
    divided = {"FSDP": ["pytorch_model_fsdp.bin"], "DEEPSPEED": ["latest", *shares(2)]}
    for kind, files in divided.items():
        (tmp_path / kind / "global_step6").mkdir(parents=True)
        for file in files:
            (tmp_path / kind / file).write_text("")
        check_goes_on(tmp_path / kind, kind, 2)
        with pytest.raises(PladError, match=f"was written under {kind} and this is ddp"):
            check_goes_on(tmp_path / kind, "MULTI_GPU", 2)
        with pytest.raises(PladError, match=f"was written under ddp and this is {kind}"):
            check_goes_on(trained / "checkpoint-6", kind, 2)
    check_goes_on(tmp_path / "FSDP", "FSDP", 4)
    with pytest.raises(PladError, match=r"was written by 2 and these are 4\. Set launch\.devices so that there are 2"):
        check_goes_on(tmp_path / "DEEPSPEED", "DEEPSPEED", 4)


def shares(processes: int) -> list[str]:
    """DeepSpeed's files of the optimiser."""
    return [f"global_step6/zero_pp_rank_{n}_mp_rank_00_optim_states.pt" for n in range(processes)]
