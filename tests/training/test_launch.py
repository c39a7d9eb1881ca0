"""What a recipe may say of the processes that train, and what a machine cannot do."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_run import write_recipe

from plad.config import load_recipe
from plad.errors import PladError
from plad.planning import fingerprints, plan
from plad.training.launch import Launch


@pytest.mark.parametrize(
    ("settings", "processes", "several"),
    [({}, 1, False), ({"devices": 8, "nodes": 2}, 16, True), ({"strategy": "fsdp2"}, 1, True)],
)
def test_processes_are_those_of_all_machines(settings: dict[str, object], processes: int, several: bool) -> None:
    launch = Launch(**settings)
    assert (launch.processes, launch.several) == (processes, several)


def test_a_machine_without_enough_gpus_is_refused() -> None:
    Launch(devices=4).check(gpus=4)
    Launch(devices=4).check(gpus=0)  # they share the processor
    with pytest.raises(PladError, match=r"launch\.devices is 4 and this machine has 2\. Set it to 2 or less"):
        Launch(devices=4).check(gpus=2)
    with pytest.raises(PladError, match="fsdp2 divides a model over GPUs, and this machine has none"):
        Launch(strategy="fsdp2").check(gpus=0)


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="deepspeed is installed")
@pytest.mark.parametrize("strategy", ["deepspeed_zero2", "deepspeed_zero3"])
def test_deepspeed_that_is_not_installed_is_told_of(strategy: str) -> None:
    with pytest.raises(PladError, match=rf"{strategy} is DeepSpeed's, which is not installed\. Run: pip install deep"):
        Launch(strategy=strategy).check(gpus=1)


def test_a_configuration_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PladError, match="there is no nowhere"):
        Launch(devices=2, config="nowhere.yaml").check(gpus=0)
    file = tmp_path / "mine.yaml"
    file.write_text("distributed_type: MULTI_GPU\n")
    assert Launch(config=str(file)).configuration() == file


@pytest.mark.parametrize(
    ("override", "place", "told"),
    [
        ("launch.devices=3", "teacher.sft.batch_size", "4 is no multiple of 3"),
        ("launch.devices=3", "distill.batch_size", "4 is no multiple of 3"),
        ("baselines={minillm: {}}", "launch.strategy", "method minillm draws its text as it trains"),
        ("distill.guard={every: 2}", "launch.strategy", "a guard looks at what it answers"),
    ],
)
def test_what_does_not_divide_is_refused_with_the_recipe(tmp_path: Path, override: str, place: str, told: str) -> None:
    sharded = [] if "devices" in override else ["launch.strategy=fsdp2"]
    with pytest.raises(PladError) as refused:
        load_recipe(write_recipe(tmp_path), [*sharded, override])
    assert f"{place}: " in str(refused.value)
    assert told in str(refused.value)


def test_a_batch_of_a_methods_own_is_named(tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"baselines\.seqkd\.batch_size: .*6 is no multiple of 4"):
        load_recipe(write_recipe(tmp_path), ["launch.devices=4", "baselines.seqkd={batch_size: 6}"])


def test_processes_are_no_part_of_a_fingerprint_and_trainings_alone_have_them(tmp_path: Path) -> None:
    file = write_recipe(tmp_path)
    one, two = (plan(load_recipe(file, [f"launch.devices={n}", "teacher.sft=null"])) for n in (1, 2))
    assert fingerprints(one, 1) == fingerprints(two, 1)
    assert [task.name for task in two if task.trains] == ["sft/student", "distill/sft", "distill/seqkd", "distill/plad"]
