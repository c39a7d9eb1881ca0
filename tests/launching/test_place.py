"""Where a run stands among machines and processes."""

from __future__ import annotations

import pytest

from plad.errors import PladError
from plad.launching import Place, Work, place_of
from plad.launching.processes import arguments, environment
from plad.training.launch import Launch

TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29500",
}


def test_one_machine_needs_to_be_told_nothing() -> None:
    launch = Launch(devices=2)
    assert place_of(launch, {"NODE_RANK": "7"}) == (launch, Place())


def test_a_machine_of_several_is_told_by_its_environment() -> None:
    launch = Launch(nodes=3)
    told = {"NODE_RANK": "2", "MASTER_ADDR": "first"}
    assert place_of(launch, told) == (launch, Place(2, "first", 29400))
    assert place_of(launch, told | {"MASTER_PORT": "5"})[1] == Place(2, "first", 5)
    for wrong in ({}, {"NODE_RANK": "2"}, told | {"NODE_RANK": "two"}):
        with pytest.raises(PladError, match=r"launch\.nodes is 3, so that the same command is started on as many"):
            place_of(launch, wrong)
    with pytest.raises(PladError, match=r"from 0 to 2, as launch\.nodes says, but it is 3"):
        place_of(launch, told | {"NODE_RANK": "3"})


def test_a_launcher_of_the_whole_command_has_said_how_many_there_are() -> None:
    launch, place = place_of(Launch(devices=7, strategy="fsdp2"), TORCHRUN)
    assert launch == Launch(devices=2, nodes=2, strategy="fsdp2")
    # The launcher itself listens on its port.
    assert place == Place(1, "first", 29501, spare=True)
    assert not place_of(Launch(), TORCHRUN | {"LOCAL_RANK": "0"})[1].spare


def test_what_accelerate_was_told_and_the_recipe_does_not_say_is_refused() -> None:
    told = TORCHRUN | {"ACCELERATE_USE_FSDP": "true"}
    with pytest.raises(PladError, match=r"told to use FSDP.*launch\.strategy is ddp\. Set it to one of fsdp"):
        place_of(Launch(), told)
    assert place_of(Launch(strategy="fsdp2"), told)[0].nodes == 2


def test_processes_do_not_take_for_theirs_what_a_launcher_told_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TORCHRUN | {"TORCHELASTIC_RUN_ID": "1", "NCCL_DEBUG": "WARN"}).items():
        monkeypatch.setenv(name, value)
    found = environment(Launch(devices=2))
    assert not {*TORCHRUN, "TORCHELASTIC_RUN_ID"} & found.keys()
    assert found["NCCL_DEBUG"] == "WARN"


def test_the_launcher_is_told_of_this_machine_and_all_others() -> None:
    from pathlib import Path

    work = Work(Path("runs/x"), "sft/student", Path("runs/x/.work/y"))
    launch = Launch(devices=2, nodes=3)
    options = arguments(launch, Place(1, "first", 29400), work)
    told = dict(zip(options[:12:2], options[1:12:2], strict=True))
    assert told == {
        "--config_file": str(launch.configuration()),
        "--num_processes": "6",
        "--num_machines": "3",
        "--machine_rank": "1",
        "--main_process_ip": "first",
        "--main_process_port": "29401",
    }
    assert options[12:] == ["--module", "plad.worker", "runs/x", "sft/student", "runs/x/.work/y", "6"]
    alone = arguments(Launch(devices=2), Place(), work)
    assert alone[alone.index("--main_process_port") + 1] == "0", "any that is free"
