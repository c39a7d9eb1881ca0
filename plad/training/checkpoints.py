"""Which checkpoints are whole: each has a list of its files and their sizes, written last.

The process may die between any two files, and the machine after all of them, when some are not on the disk yet.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from plad.errors import PladError

SIZES = "plad_sizes.json"
"""What a whole checkpoint has."""

NAMED = "checkpoint-"
"""What the name of a checkpoint begins with; its step follows."""


def seal(checkpoint: Path) -> None:
    """Note what a finished checkpoint holds, once that is on the disk."""
    files = (file for file in sorted(checkpoint.rglob("*")) if file.is_file() and file.name != SIZES)
    sizes = {file.relative_to(checkpoint).as_posix(): file.stat().st_size for file in files}
    for name in sizes:
        with (checkpoint / name).open("rb") as written:
            os.fsync(written.fileno())
    partial = checkpoint / f".{SIZES}.partial"
    partial.write_text(json.dumps(sizes), encoding="utf-8")
    partial.replace(checkpoint / SIZES)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was sealed, and every file of it is as long as it was."""
    try:
        sizes = json.loads((checkpoint / SIZES).read_text(encoding="utf-8"))
        return bool(sizes) and all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def last_whole(folder: Path) -> str | None:
    """The checkpoint to go on from, that of most steps; those that a crash or a full disk cut short are removed."""
    found = {_step(path): path for path in folder.glob(f"{NAMED}[0-9]*")}
    whole = {steps for steps, path in found.items() if is_whole(path)}
    for steps in found.keys() - whole:
        # Each of several processes may come to remove it.
        shutil.rmtree(found[steps], ignore_errors=True)
    return str(found[max(whole)]) if whole else None


def check_goes_on(checkpoint: Path, kind: str, processes: int) -> None:
    """Refuse a checkpoint whose optimiser is kept in another way than a training would read it.

    Args:
        kind: how accelerate divides a model over processes: FSDP, DEEPSPEED, or not at all.
        processes: how many there are, which is a matter for DeepSpeed alone.

    Raises:
        PladError: it was written under another strategy, or a share of the optimiser for each of other processes.
    """
    here = kind if kind in ("FSDP", "DEEPSPEED") else "ddp"
    written = _written_by(checkpoint)
    if written != here:
        raise PladError(
            f"a training goes on under the strategy it began with, but {checkpoint} was written under {written} and "
            f"this is {here}. Take the old strategy, or remove {checkpoint.parent} to begin it anew."
        )
    if here == "DEEPSPEED" and (shares := len(list(checkpoint.glob("*/*_optim_states.pt")))) != processes:
        raise PladError(
            f"a training under DeepSpeed goes on with as many processes as it began with, but {checkpoint} was written "
            f"by {shares} and these are {processes}. Set launch.devices so that there are {shares}, or remove "
            f"{checkpoint.parent} to begin it anew."
        )


def _written_by(checkpoint: Path) -> str:
    if any(checkpoint.glob("pytorch_model_fsdp*")):
        return "FSDP"
    return "DEEPSPEED" if (checkpoint / "latest").is_file() else "ddp"


def last_step(folder: Path) -> int:
    """The optimiser step to go on from; 0 where there is none."""
    found = last_whole(folder)
    return _step(Path(found)) if found else 0


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(NAMED))
