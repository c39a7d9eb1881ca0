"""The recipe that `plad init` writes."""

from __future__ import annotations

import json
from shlex import quote

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

sample: {{temperature: 0.7, max_new_tokens: 128}}

distill:
  method: {{type: plad}}          # or dpo, simpo …; kd, minillm … for a teacher of the student's vocabulary
  loss: {{type: ranking, margin: 1.0}}   # or margin: a gap in proportion to the scores of pairs.scorer
  epochs: 1
  learning_rate: 1.0e-4
  batch_size: 8
  lora: {{r: 8, alpha: 32, dropout: 0.1}}  # null trains the whole student

baselines: {{sft: {{}}, seqkd: {{}}}}  # methods to compare with, such as dpo: {{beta: 0.1}}; null leaves one out

evaluate:
  judge:
    type: reward_model            # any sequence-classification reward model of the hub or a folder
    model: OpenAssistant/reward-model-deberta-v3-large-v2
"""


def recipe_text(path: str, data: str, teacher: str, student: str) -> str:
    """The commented recipe that is to stand at `path`, for these names."""

    def quoted(name: str) -> str:
        return json.dumps(name, ensure_ascii=False)

    return _TEXT.format(recipe=quote(path), data=quoted(data), teacher=quoted(teacher), student=quoted(student))
