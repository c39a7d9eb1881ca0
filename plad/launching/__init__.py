"""Training tasks in several processes: started through accelerate's launcher, listened to, and ended with the run.

A run starts `python -m plad.launching` (`__main__`), which is accelerate's launcher, and that starts `python -m
plad.worker` in each process. What they tell comes through one pipe (`relay`). On several machines the same command is
started on each; the first does the tasks, and tells the others when one is to be trained (`machines`).
"""

from plad.launching.machines import Leader, follow
from plad.launching.place import Place, place_of
from plad.launching.processes import ASK, Work, gpus, train_in_processes

__all__ = ["ASK", "Leader", "Place", "Work", "follow", "gpus", "place_of", "train_in_processes"]
