"""The commands of `plad`, a file a group. Each parses, calls one function, and prints; heavy imports stay inside."""

from plad.commands.cache import cache
from plad.commands.chat import chat
from plad.commands.completion import completion
from plad.commands.export import export
from plad.commands.look import diff, list_runs, show, status
from plad.commands.push import card, push
from plad.commands.recipes import estimate, fetch, init
from plad.commands.report import report
from plad.commands.reward import train_reward
from plad.commands.serve import serve
from plad.commands.stages import STAGE_COMMANDS, evaluate, run
from plad.commands.study import study
from plad.commands.tune import tune
from plad.commands.watch import watch

LOOKING = (status, watch, list_runs, show, diff)

COMMANDS = (
    run,
    *STAGE_COMMANDS,
    evaluate,
    report,
    *LOOKING,
    chat,
    export,
    serve,
    card,
    push,
    init,
    fetch,
    estimate,
    cache,
    study,
    tune,
    train_reward,
    completion,
)

__all__ = ["COMMANDS"]
