"""What a run will take, told before anything runs: prompts, tokens, requests, money, FLOPs, hours.

Tokens are counted on the task's own prompts. An answer is taken to be as long as the task's references, and at most
as long as the recipe lets it be. What a server has answered before is in the store and costs nothing; of a model whose
weights are here that is known once the run has them. FLOPs are 2 a weight and token forwards, 4 more for training (2
where the weights themselves are frozen, under LoRA): Kaplan et al. 2020, section 2.1. Hours are FLOPs over what the
machine reaches, and of answers on GPUs what an engine computes and moves (`decoding.py`), so within a factor of two or
three; judges and scorers whose weights are here are not in them, nor is loading.
"""

from plad.estimate.counting import Assumed
from plad.estimate.lines import Line
from plad.estimate.table import table
from plad.estimate.tasks import estimate
from plad.speed import Speed

__all__ = ["Assumed", "Line", "Speed", "estimate", "table"]
