"""The commands of `plad`, a file a group. Each parses, calls one function, and prints; heavy imports stay inside."""

from plad.commands.cache import cache
from plad.commands.recipes import estimate, fetch, init
from plad.commands.reward import train_reward
from plad.commands.stages import STAGE_COMMANDS, evaluate, run
from plad.commands.study import study
from plad.commands.tune import tune

COMMANDS = (run, *STAGE_COMMANDS, evaluate, init, fetch, estimate, cache, study, tune, train_reward)

__all__ = ["COMMANDS"]
