"""Where a run stands among machines and processes, by the names of the environment that launchers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plad.errors import PladError
from plad.training.launch import Launch

PORT = 29400
"""Where the first machine listens, unless MASTER_PORT names another; trainings take the port above it."""

OWN = {
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "NODE_RANK", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT"),
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"),
}
"""What a launcher tells a process of itself, which no process that we start may take for its own."""


@dataclass(frozen=True)
class Place:
    """One machine of several, the first of them, or one process of a launcher that started the whole command.

    Attributes:
        spare: whether a launcher started this process beside another of its machine, which does the work of both.
    """

    node: int = 0
    address: str = "127.0.0.1"
    port: int = PORT
    spare: bool = False


def place_of(launch: Launch, environment: Mapping[str, str]) -> tuple[Launch, Place]:
    """The processes to train in, and where this one stands.

    A launcher that started the whole command (torchrun, accelerate) has said how many there are; the recipe else.

    Raises:
        PladError: there are several machines, and nothing says which one this is; or a launcher was told of a strategy
            that the recipe does not name.
    """
    if "LOCAL_RANK" in environment and "WORLD_SIZE" in environment:
        _check_strategy(launch, environment)
        here = int(environment.get("LOCAL_WORLD_SIZE", "1"))
        nodes = int(environment["WORLD_SIZE"]) // here
        address, port = environment.get("MASTER_ADDR", "127.0.0.1"), int(environment.get("MASTER_PORT", PORT)) + 1
        node = int(environment.get("GROUP_RANK", "0"))
        place = Place(node, address, port, spare=environment["LOCAL_RANK"] != "0")
        return launch.model_copy(update={"devices": here, "nodes": nodes}), place
    if launch.nodes == 1:
        return launch, Place()
    try:
        node, address = int(environment["NODE_RANK"]), environment["MASTER_ADDR"]
    except (KeyError, ValueError):
        raise PladError(
            f"launch.nodes is {launch.nodes}, so that the same command is started on as many machines, with NODE_RANK "
            "(0 on the first) and MASTER_ADDR (the name of the first) in the environment, but they are not there. "
            "recipes/cluster has scripts that set them; or set launch.nodes to 1."
        ) from None
    if not 0 <= node < launch.nodes:
        raise PladError(f"NODE_RANK is from 0 to {launch.nodes - 1}, as launch.nodes says, but it is {node}.")
    return launch, Place(node, address, int(environment.get("MASTER_PORT", PORT)))


def _check_strategy(launch: Launch, environment: Mapping[str, str]) -> None:
    for library in ("FSDP", "DEEPSPEED"):
        asked = environment.get(f"ACCELERATE_USE_{library}", "").lower() == "true"
        if asked and not launch.strategy.startswith(library.lower()):
            raise PladError(
                f"accelerate was told to use {library}, but a run starts its trainings by its recipe, and there "
                f"launch.strategy is {launch.strategy}. Set it to one of {library.lower()}."
            )
