"""The configurations of accelerate by its own loader, and what starts a run on a cluster, as far as it goes here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from plad.launching import Place, Work
from plad.launching.processes import arguments
from plad.training.launch import Launch

RECIPES = Path(__file__).parents[2] / "recipes"
STRATEGIES = get_args(Launch.model_fields["strategy"].annotation)
DEEPSPEED = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false"}
TOLD: dict[str, dict[str, str]] = {
    "ddp": {},
    "fsdp2": {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    },
    "deepspeed_zero2": DEEPSPEED | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"},
    "deepspeed_zero3": DEEPSPEED
    | {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3", "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "true"},
}


def test_every_strategy_has_its_configuration() -> None:
    assert {path.stem for path in (RECIPES / "accelerate").glob("*.yaml")} == set(STRATEGIES) == set(TOLD)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_accelerate_reads_it_and_tells_the_processes(strategy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ACCELERATE_", "FSDP_"))]:
        monkeypatch.delenv(name)
    launch = Launch(devices=4, nodes=2, strategy=strategy)
    load_config_from_file(str(launch.configuration()))  # refuses a key that it does not know
    work = Work(Path("run"), "sft/student", Path("work"))
    parsed = launch_command_parser().parse_args(arguments(launch, Place(1, "first", 29400), work))
    parsed, defaults, _ = _validate_launch_command(parsed)
    if strategy.startswith("deepspeed"):
        parsed.deepspeed_fields_from_accelerate_config = list(defaults.deepspeed_config)
        command, told = prepare_deepspeed_cmd_env(parsed)
        assert command is None, "torch's launcher, and not deepspeed's over ssh"
    else:
        told = prepare_multi_gpu_env(parsed)
    assert {name: told[name] for name in TOLD[strategy]} == TOLD[strategy]
    assert told["ACCELERATE_MIXED_PRECISION"] == "no"
    assert ("ACCELERATE_USE_FSDP" in told) == (strategy == "fsdp2")
    assert (parsed.nnodes, parsed.nproc_per_node, parsed.node_rank) == ("2", "4", 1)
    # accelerate hands torch's launcher one name or two.
    told_apart = f"{getattr(parsed, 'master_addr', '')}:{getattr(parsed, 'master_port', '')}"
    assert "first:29401" in (getattr(parsed, "rdzv_endpoint", ""), told_apart)


SRUN = """\
#!/bin/bash
shift
for node in 0 1; do SLURM_NODEID=$node "$@"; done
"""
PLAD = """\
#!/bin/bash
echo "$NODE_RANK $MASTER_ADDR $MASTER_PORT: $*"
exit ${STATUS:-0}
"""
SCONTROL = """\
#!/bin/bash
if [ "$1" = requeue ]; then echo "again $2"; else printf 'first\\nsecond\\n'; fi
"""


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """An environment as Slurm gives to a job, with stand-ins for its commands and for plad that tell what they get."""
    for name, text in {"srun": SRUN, "plad": PLAD, "scontrol": SCONTROL}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "41234", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2"}
    return os.environ | job | {"SLURM_GPUS_ON_NODE": "4", "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def bash(*words: str, **environment: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", *words], capture_output=True, text=True, timeout=30, check=False, **environment)


def test_slurm_starts_the_same_command_on_every_node(cluster: dict[str, str]) -> None:
    done = bash(str(RECIPES / "cluster" / "slurm.sh"), "my recipe.yaml", "--set", "seed=2", env=cluster)
    assert done.returncode == 0, done.stderr
    command = "run my recipe.yaml --set launch.nodes=2 --set launch.devices=4 --set seed=2"
    assert done.stdout.splitlines() == [f"{node} first 21234: {command}" for node in (0, 1)]


def test_slurm_puts_a_run_that_was_told_to_stop_in_the_queue_again(cluster: dict[str, str]) -> None:
    stopped = bash(str(RECIPES / "cluster" / "slurm.sh"), "r.yaml", env=cluster | {"STATUS": "130"})
    assert (stopped.returncode, stopped.stdout.splitlines()[-1]) == (130, "again 41234")
    failed = bash(str(RECIPES / "cluster" / "slurm.sh"), "r.yaml", env=cluster | {"STATUS": "2"})
    assert failed.returncode == 2
    assert "again" not in failed.stdout
    assert "usage" in bash(str(RECIPES / "cluster" / "slurm.sh"), env=cluster).stderr


def test_skypilots_task_starts_the_same_command_on_every_machine(cluster: dict[str, str]) -> None:
    task = yaml.safe_load((RECIPES / "cluster" / "skypilot.yaml").read_text())
    assert set(task) == {"name", "workdir", "num_nodes", "resources", "envs", "volumes", "setup", "run"}
    assert (RECIPES.parent / task["envs"]["RECIPE"]).is_file()
    told = {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NODE_RANK": "1", "SKYPILOT_NUM_NODES": "2"}
    told |= {"SKYPILOT_NUM_GPUS_PER_NODE": "8", "MASTER_PORT": "29400"} | task["envs"]
    done = bash("-euc", task["run"], env=cluster | told | {"OPTIONS": "--set seed=2"})
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "1 10.0.0.1 29400: run recipes/tldr-llama2.yaml --out /shared/tldr-llama2 "
        "--set launch.nodes=2 --set launch.devices=8 --set seed=2\n"
    )
