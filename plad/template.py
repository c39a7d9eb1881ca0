"""The recipe that `plad init` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from shlex import quote
from typing import Any

from plad.presets import preset

_TEXT = """\
# Distil {teacher} into {student} on {data}.
# Run it:         plad run {recipe}
# Try a setting:  plad run {recipe} --set distill.loss.margin=0.5

name: my-run                      # results go to runs/my-run
seed: 1

task:
  source:
    type: table                   # any JSONL, CSV or Parquet file, or `hub: owner/name` in place of path
    path: {data}
    columns: {{prompt: prompt, reference: reference}}
  splits: {{train: 0.45, distill: 0.45, validation: 0.03, test: 0.07}}

prompt:
  chat: true                      # send the prompt as a user's message through the model's chat template
  max_prompt_tokens: 512
  max_response_tokens: 128
  too_long: drop                  # or refuse, or truncate

teacher:
  model: {{type: pretrained, path: {teacher}, dtype: bfloat16}}
  sft: null                       # use it as it is; or settings as under student.sft

student:
  model: {{type: pretrained, path: {student}}}
  sft: {{epochs: 1, learning_rate: 1.0e-4, batch_size: 16, lora: {{r: 8, alpha: 32, dropout: 0.1}}}}

# The preset {preset}, written out; in other recipes the line `preset: {preset}` stands for it.
{settings}

baselines: {{sft: {{}}, seqkd: {{}}}}  # methods to compare with, such as dpo: {{beta: 0.1}}; null leaves one out

evaluate:
  judge:
    type: reward_model            # any sequence-classification reward model of the hub or a folder
    model: OpenAssistant/reward-model-deberta-v3-large-v2
"""


_NOTES = {
    "method": "or dpo, simpo …; kd, minillm … for a teacher of the student's vocabulary",
    "loss": "or margin: a gap in proportion to the scores of pairs.scorer",
    "lora": "null trains the whole student",
    "samples": "answers a prompt; several are for pairs.negatives to choose from",
    "rounds": "how often the student is sampled anew and goes on, at most",
}


def recipe_text(path: str, data: str, teacher: str, student: str, preset_name: str = "recommended") -> str:
    """The commented recipe that is to stand at `path`, for these names.

    Raises:
        PladError: there is no such preset.
    """

    def quoted(name: str) -> str:
        return json.dumps(name, ensure_ascii=False)

    chosen = preset(preset_name)
    told = {"preset": preset_name, "settings": "\n\n".join(_section(name, chosen[name]) for name in chosen)}
    return _TEXT.format(recipe=quote(path), data=quoted(data), teacher=quoted(teacher), student=quoted(student), **told)


def _section(name: str, settings: Mapping[str, Any]) -> str:
    """A section of the recipe, a line a setting, what is worth a word with a comment."""
    own = {"max_new_tokens": 128} if name == "sample" else {}
    lines = [f"{name}:"]
    for key, value in {**settings, **own}.items():
        line = f"  {key}: {_flow(value)}"
        lines.append(f"{line:<33} # {_NOTES[key]}" if key in _NOTES else line)
    return "\n".join(lines)


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, float) and "e" in repr(value):
        digits, _, power = repr(value).partition("e")
        # YAML reads a number with a power of ten as text unless it has a point.
        return f"{digits if '.' in digits else digits + '.0'}e{power}"
    return value if isinstance(value, str) else json.dumps(value)
