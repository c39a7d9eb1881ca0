"""One training task in several processes of this machine, and of others if there are any."""

from __future__ import annotations

import gc
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plad import interrupt
from plad.launching.place import OWN, Place
from plad.launching.relay import Relay
from plad.progress import Display
from plad.training.launch import Launch

ASK = signal.SIGUSR1
"""Asks a process that trains to stop behind its step. Ctrl-C it ignores: that is for the run, which passes it on."""

PATIENCE = 10.0
"""Seconds that a launcher has to end once nobody listens to it."""


@dataclass(frozen=True)
class Work:
    """What the processes are to do: a task of a run folder, in a workspace that is the task's own."""

    folder: Path
    task: str
    workspace: Path


def train_in_processes(launch: Launch, place: Place, work: Work, display: Display) -> dict[str, Any]:
    """Train until it is done. The processes end with this one, however it ends.

    Ctrl-C is passed on to the first of them, and all stop behind the same step.

    Returns:
        The task's summary; on any but the first machine it is empty.

    Raises:
        PladError: what a process raised; or one was killed.
        RuntimeError: a process failed in a way that nobody foresaw.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    _release()
    with Relay(display) as relay, _started(launch, place, work) as child:
        told = False
        for line in _lines(child):
            if line:
                relay.hear(line)
            if interrupt.asked() and relay.first is not None and not told:
                os.kill(relay.first, ASK)
                told = True
    if child.returncode == 0 and (relay.summary is not None or place.node):
        return relay.summary or {}
    raise relay.failure(launch.processes)


def arguments(launch: Launch, place: Place, work: Work) -> list[str]:
    """Of accelerate's launcher."""
    settings = {
        "config_file": launch.configuration(),
        "num_processes": launch.processes,
        "num_machines": launch.nodes,
        "machine_rank": place.node,
        "main_process_ip": place.address,
        # On one machine any that is free.
        "main_process_port": place.port + 1 if launch.nodes > 1 else 0,
    }
    options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    called = [work.folder, work.task, work.workspace, launch.processes]
    return [*options, "--module", "plad.worker", *map(str, called)]


def environment(launch: Launch) -> dict[str, str]:
    """Of the processes: ours, but for what a launcher told this process of itself."""
    told = {name for name in os.environ if name in OWN or name.startswith("TORCHELASTIC_")}
    kept = {name: value for name, value in os.environ.items() if name not in told}
    # Several processes on one processor are not to have as many threads each as there are cores.
    threads = max(1, (os.cpu_count() or 1) // launch.devices)
    unless_set = {"TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": str(threads)}
    here = {"TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM,SIGHUP,SIGQUIT"}
    return unless_set | kept | here | ({} if gpus() else {"ACCELERATE_USE_CPU": "true"})


def gpus() -> int:
    """How many this machine has."""
    import torch

    return torch.cuda.device_count()


@contextmanager
def _started(launch: Launch, place: Place, work: Work) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "plad.launching", *arguments(launch, place, work)],
        env=environment(launch),
        # It closes when this process is gone, which each of the others waits for.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C in a terminal goes to all of a session; here it is passed on, to one.
        start_new_session=True,
    )
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """What the processes print, and now and then nothing, so that Ctrl-C is noticed."""
    heard: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            heard.put(line)
        heard.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        try:
            line = heard.get(timeout=0.2)
        except queue.Empty:
            line = ""
        if line is None:
            return
        yield line


def _release() -> None:
    """Give back the GPU's memory that earlier tasks of this process have left."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
