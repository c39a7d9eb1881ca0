"""The stages of PLaD, each a function from the files of a run to files of the run.

Their order: check, prepare, sft, sample, pair, distill, judge and evaluate, calibrate, report.

A stage that takes long writes what it has into its workspace as it goes, continues from there, and puts its result
in place only when it is whole.
"""

from plad.stages.calibrate import calibrate
from plad.stages.check import check, white_box
from plad.stages.context import SPLITS, Context, Stage
from plad.stages.distill import distill
from plad.stages.evaluate import answer, score_also, summarise
from plad.stages.judge import train_judge
from plad.stages.models import with_weights
from plad.stages.pair import pair
from plad.stages.prepare import prepare
from plad.stages.report import report
from plad.stages.rounds import check_round, keep_best, pair_again, train_round
from plad.stages.sample import sample
from plad.stages.sft import fine_tune

__all__ = [
    "SPLITS",
    "Context",
    "Stage",
    "answer",
    "calibrate",
    "check",
    "check_round",
    "distill",
    "fine_tune",
    "keep_best",
    "pair",
    "pair_again",
    "prepare",
    "report",
    "sample",
    "score_also",
    "summarise",
    "train_judge",
    "train_round",
    "white_box",
    "with_weights",
]
