"""How many processes train, and how they divide a model. That changes no result but by rounding."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field

from plad.errors import PladError
from plad.spec import Spec

_BESIDE = (Path(__file__).parents[1] / "accelerate", Path(__file__).parents[2] / "recipes" / "accelerate")
"""Where the configurations are: in the package as it is installed, or in a copy of the repository."""


class Launch(Spec):
    """The processes of the training tasks; all other tasks run in one. A batch is that of all processes together."""

    devices: int = Field(1, ge=1, description="processes that train on each machine, one a GPU")
    nodes: int = Field(1, ge=1, description="machines, on each of which the same command is started")
    strategy: Literal["ddp", "fsdp2", "deepspeed_zero2", "deepspeed_zero3"] = Field(
        "ddp", description="ddp: the whole model in each process; the others divide it, or its optimiser, over them"
    )
    config: str | None = Field(None, description="a configuration of accelerate in place of the strategy's own")

    @property
    def processes(self) -> int:
        """On all machines."""
        return self.devices * self.nodes

    @property
    def several(self) -> bool:
        """Whether a launcher is needed: a divided model is one by itself too, for its checkpoints are others."""
        return self.processes > 1 or self.sharded

    @property
    def sharded(self) -> bool:
        """Whether a process holds but a part of the model or of its optimiser."""
        return self.strategy != "ddp"

    def configuration(self) -> Path:
        """The file that accelerate reads.

        Raises:
            PladError: there is none.
        """
        files = [Path(self.config)] if self.config else [folder / f"{self.strategy}.yaml" for folder in _BESIDE]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise PladError(f"launch.config names a configuration of accelerate, but there is no {files[0]}.")
        return found.resolve()

    def check(self, gpus: int) -> None:
        """Refuse what this machine cannot do.

        Args:
            gpus: how many it has; with none, processes share the processor.

        Raises:
            PladError: with the remedy.
        """
        self.configuration()
        if self.sharded and not gpus:
            raise PladError(
                f"{self.strategy} divides a model over GPUs, and this machine has none: accelerate would quietly take "
                "ddp. Set launch.strategy to ddp."
            )
        if self.strategy.startswith("deepspeed") and find_spec("deepspeed") is None:
            raise PladError(
                f"{self.strategy} is DeepSpeed's, which is not installed. Run: pip install deepspeed; or set "
                "launch.strategy to fsdp2, which divides as much as ZeRO-3 does."
            )
        if gpus and self.devices > gpus:
            raise PladError(
                f"every process trains on a GPU of its own, but launch.devices is {self.devices} and this machine has "
                f"{gpus}. Set it to {gpus} or less."
            )
