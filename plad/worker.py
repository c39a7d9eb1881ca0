"""One of the processes that train a task of a run: `python -m plad.worker FOLDER TASK WORKSPACE PROCESSES`.

accelerate's launcher starts it (`plad.launching`). All of them do the whole task; the first alone tells and writes.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from plad import interrupt
from plad.commands.options import quiet
from plad.errors import PladError
from plad.launching import ASK
from plad.progress import JsonLines, Silent


def main(folder: Path, name: str, workspace: Path, processes: int) -> int:
    """Do a task beside other processes; 0 if it came to its end."""
    quiet()
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    signal.signal(ASK, lambda number, frame: interrupt.ask())
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        logging.disable()
    try:
        summary = _work(folder, name, workspace, processes, rank)
    except KeyboardInterrupt:
        _tell("interrupted")
        return 1
    except Exception as error:
        kind = type(error).__name__
        _tell("error", process=rank, kind=kind, text=str(error)[:2000], trace=traceback.format_exc()[-8000:])
        return 1
    if rank == 0:
        _tell("summary", summary=summary)
    return 0


def _work(folder: Path, name: str, workspace: Path, processes: int, rank: int) -> dict[str, Any]:
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != processes:
        raise PladError(
            f"the task is for {processes} processes, but accelerate started {found}. Look at launch.config, where the "
            "recipe names one."
        )
    if rank == 0:
        _tell("process", id=os.getpid())
    from plad.config import load_recipe
    from plad.planning import plan
    from plad.runs import Run
    from plad.stages import Context

    recipe = load_recipe(folder / "recipe.yaml")
    task = next(task for task in plan(recipe) if task.name == name)
    return task.work(Context(Run(folder), recipe, JsonLines() if rank == 0 else Silent(), workspace))


def _tell(event: str, **fields: Any) -> None:
    """In one write, since all processes write into one pipe."""
    os.write(1, (json.dumps({"event": event, **fields}, default=list) + "\n").encode())


def _end_with_the_run() -> None:
    """End when the pipe from the run closes, which it does however the run ends."""
    # Past Python's own buffers, whose lock a process cannot end under.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.flush()
    # Without waiting for a process group, which may have lost one of its processes.
    os._exit(code)
