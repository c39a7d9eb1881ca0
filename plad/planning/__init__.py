"""The plan of a run: which tasks there are, what determines each, and what it follows.

A task's fingerprint is of the settings that determine its output and of the fingerprints of the tasks it follows.
"""

from plad.planning.task import FORMAT, STAGES, Task, fingerprints
from plad.planning.tasks import plan

__all__ = ["FORMAT", "STAGES", "Task", "fingerprints", "plan"]
