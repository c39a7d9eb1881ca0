"""The models of a run, asked side by side: the teacher, the student as it began, and as it became."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from plad.errors import PladError
from plad.generation import OpenAI
from plad.generation.hf import HF, HFGenerator
from plad.generation.store import Usage
from plad.losses.sequence import Normalisation
from plad.models.load import pad_id
from plad.records import Generation, Prompt, PromptText
from plad.shipping.source import RunModel


@dataclass(frozen=True)
class Answer:
    """What a model said, and how likely it found that, as the run's loss counts it; None: not asked."""

    model: str
    text: str
    finished: bool
    logp: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {"model": self.model, "text": self.text, "finished": self.finished, "logp": self.logp}


@dataclass
class Talk:
    """A talk with models of a run, each loaded when it is first asked, and once.

    `drawn`: how often answers were drawn; 0 asks at temperature 0.
    """

    models: Sequence[RunModel]
    drawn: int = 0
    likelihood: bool = False
    _generators: dict[str, Any] = field(default_factory=dict)

    def ask(self, text: str) -> Iterator[Answer]:
        """Each model's answer as it is ready, in the order of the models.

        Raises:
            PladError: the prompt is too long, or a server does not answer.
        """
        prompt = Prompt("asked", self._prompt(text))
        for model in self.models:
            generator = self._generator(model)
            sampling = model.drawn if self.drawn else model.sampling.greedy
            found: Generation = next(iter(generator.generate([prompt], sampling, self.drawn)))
            if found.failure:
                raise PladError(f"{model.name} gave no answer: {found.failure}")
            logp = self._logp(generator, prompt, found, model.recipe.distill.loss.normalise)
            yield Answer(model.name, found.response, found.finished, logp)

    def _prompt(self, text: str) -> PromptText:
        return ({"role": "user", "content": text},) if self.models[-1].conversations else text

    def _generator(self, model: RunModel) -> Any:
        if model.name not in self._generators:
            self._generators[model.name] = _open(model)
        return self._generators[model.name]

    def _logp(self, generator: Any, prompt: Prompt, found: Generation, normalise: Normalisation) -> float | None:
        if not self.likelihood or not isinstance(generator, HFGenerator):
            return None
        from plad.training.layout import Example
        from plad.training.score import response_logps

        formatter = generator.formatter
        ids = formatter.response_ids(found.response, found.finished)
        if not ids:
            return None
        example = Example(formatter.prompt_ids(prompt.prompt), [ids])
        return response_logps(generator.model, pad_id(formatter.tokenizer), [example], normalise)[0][0]


def _open(model: RunModel) -> Any:
    source = model.recipe.teacher.model
    if model.name == "teacher" and isinstance(source, OpenAI):
        return source.generator(model.prompt, Usage())
    return HF().generator(model.folder, model.prompt, model.dtype, 1)
