"""accelerate's launcher, which tells in one line of JSON which process failed first, and how."""

from __future__ import annotations

import json
import logging
import signal
import sys

from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(arguments: list[str]) -> int:
    """Run until every process of this machine has ended; 1 if one of them failed."""
    # Of a failure the run tells, in a line.
    logging.disable(logging.ERROR)
    # For them too. A scheduler sends it to all processes of a job, and the run alone is to heed it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launch_command(launch_command_parser().parse_args(arguments))
    except ChildFailedError as error:
        failures = sorted(error.failures.items(), key=lambda item: item[1].timestamp)
        told = [{"process": rank, "code": failure.exitcode} for rank, failure in failures]
        print(json.dumps({"event": "ended", "failures": told}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
