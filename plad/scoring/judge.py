"""A language model as the judge: pairwise, in both orders, by a rubric in a file. Its raw replies are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from plad import interrupt
from plad.errors import PladError
from plad.generation import Generator, HFGenerator, OpenAI, Sampling, Usage
from plad.models import MODELS, PromptFormat
from plad.records import Prompt
from plad.scoring.base import Progress, advance, check_aligned, is_empty, references
from plad.scoring.cached import describe_files
from plad.scoring.store import ScoreStore, key
from plad.scoring.verdict import TIE, Verdict, settle
from plad.spec import Spec, variant

PLACES = ("{prompt}", "{first}", "{second}")
_Model: Any = variant(
    {**{name: kind for name, kind in MODELS.items() if name != "scratch"}, "openai": OpenAI}, default="pretrained"
)
_NO_ANSWERS: Any = {"rubric": True, "batch_size": True, "device": True, "model": {"limits", "price", "budget"}}
"""Settings that change no reply."""


class Judge(Spec):
    """Asks which of two answers is better, once in each order; verdicts that depend on the order are ties.

    As a scorer it compares with the prompt's reference: 1 for a win, ½ for a tie, 0 for a loss. Equal answers tie, and
    an empty answer loses to any other, without being asked. The model may be one of ours, or any behind an
    OpenAI-compatible endpoint (`type: openai`), whose budget is then for one process.
    """

    type: Literal["judge"] = "judge"
    model: _Model
    rubric: Path | None = Field(None, description="a text with {prompt}, {first} and {second}; ours where null")
    system: str | None = None
    temperature: float = Field(0.0, ge=0)
    max_prompt_tokens: int = Field(4096, ge=1)
    max_new_tokens: int = Field(192, ge=1)
    batch_size: int = Field(8, ge=1)
    device: str = "cpu"

    @property
    def description(self) -> str:
        """One line for the report."""
        own = f", rubric {self.rubric.name}" if self.rubric else ""
        return f"{self.model_name} asked which of two answers is better, in both orders{own}"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """Each response against its prompt's reference: 1, ½ or 0.

        Raises:
            PladError: a reference is missing, the rubric is not usable, or the model does not load.
        """
        return self.remembering(None).score(prompts, responses, progress)

    def compare(
        self, prompts: Sequence[Prompt], a: Sequence[str], b: Sequence[str], progress: Progress | None = None
    ) -> list[Verdict]:
        """One verdict a prompt on the answers `a` and `b` to it."""
        return self.remembering(None).compare(prompts, a, b, progress)

    def remembering(self, store: ScoreStore | None, generator: Generator | None = None) -> Asked:
        """This judge with a memory of its replies, asking through `generator` or through its own model."""
        return Asked(self, store, generator)

    @cached_property
    def template(self) -> str:
        """The rubric's text.

        Raises:
            PladError: there is no such file, or it lacks one of {prompt}, {first} and {second}.
        """
        ours = files("plad.scoring").joinpath("rubric.txt")
        if self.rubric is not None and not self.rubric.is_file():
            raise PladError(f"a judge's rubric is a text file, but {self.rubric} is not there.")
        text = self.rubric.read_text(encoding="utf-8") if self.rubric else ours.read_text(encoding="utf-8")
        if missing := [place for place in PLACES if place not in text]:
            raise PladError(f"a judge's rubric must hold {', '.join(PLACES)}, but {self.rubric} has no {missing[0]}.")
        return text

    @cached_property
    def generator(self) -> Generator:
        """The model, loaded, behind its own chat template where it has one; or the server that holds it."""
        if isinstance(self.model, OpenAI):
            return self.model.generator(self._shown(chat=True), Usage())
        tokenizer = self.model.tokenizer(())
        model = self.model.model(tokenizer, 0)
        shown = self._shown(chat=bool(tokenizer.chat_template))
        formatter = shown.bind(tokenizer, bool(model.config.is_encoder_decoder))
        return HFGenerator(model.to(self.device), formatter, self.batch_size)

    def _shown(self, chat: bool) -> PromptFormat:
        return PromptFormat(
            chat=chat,
            system=self.system,
            max_prompt_tokens=self.max_prompt_tokens,
            max_response_tokens=self.max_new_tokens,
        )

    def probe(self) -> None:
        """Refuse, before anything is judged, a rubric that is not usable and a server that does not let us in.

        Raises:
            PladError: with the rule, the value and the remedy.
        """
        assert self.template
        if isinstance(self.model, OpenAI):
            self.model.check()
            self.model.probe()

    @property
    def model_name(self) -> str:
        """The folder, hub id or API's name of the model."""
        return str(getattr(self.model, "path", None) or getattr(self.model, "model", self.model.type))


class Asked:
    """A judge at work: what it was asked before, by this process or another, it is not asked again."""

    def __init__(self, judge: Judge, store: ScoreStore | None, generator: Generator | None):
        self.judge, self.store, self._generator = judge, store, generator
        settings = judge.model_dump(mode="json", exclude=_NO_ANSWERS)
        files = describe_files(Path(judge.model_name))
        self._identity = json.dumps([settings, files, judge.template], sort_keys=True)

    @property
    def description(self) -> str:
        """That of the judge."""
        return self.judge.description

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """As `Judge.score`."""
        check_aligned(prompts, responses)
        return [
            verdict.outcome for verdict in self.compare(prompts, responses, references(prompts, "a judge"), progress)
        ]

    def compare(
        self, prompts: Sequence[Prompt], a: Sequence[str], b: Sequence[str], progress: Progress | None = None
    ) -> list[Verdict]:
        """As `Judge.compare`."""
        check_aligned(prompts, a)
        check_aligned(prompts, b)
        known = [_foregone(prompt, one, two) for prompt, one, two in zip(prompts, a, b, strict=True)]
        open_ones = [index for index, verdict in enumerate(known) if verdict is None]
        advance(progress, len(known) - len(open_ones))
        forward = [self._question(prompts[index], a[index], b[index]) for index in open_ones]
        backward = [self._question(prompts[index], b[index], a[index]) for index in open_ones]
        replies = self._replies([*forward, *backward], progress)
        settled = {
            index: settle(prompts[index].id, replies[one], replies[two])
            for index, one, two in zip(open_ones, forward, backward, strict=True)
        }
        return [settled[index] if verdict is None else verdict for index, verdict in enumerate(known)]

    def _question(self, prompt: Prompt, first: str, second: str) -> str:
        """The rubric filled in. In one pass: a text that holds `{first}` stays as it is."""
        texts = dict(zip(PLACES, (prompt.text, first, second), strict=True))
        return re.sub("|".join(map(re.escape, PLACES)), lambda place: texts[place[0]], self.judge.template)

    def _replies(self, questions: Sequence[str], progress: Progress | None) -> dict[str, str]:
        """The reply to each question. Replies are stored one by one as they arrive."""
        names = {key("reply", self._identity, question): question for question in questions}
        found: dict[str, str] = self.store.find(list(names)) if self.store else {}
        half = len(found) // 2  # two replies make a verdict
        advance(progress, half)
        fresh = [Prompt(name, question) for name, question in names.items() if name not in found]
        for done, (name, reply) in enumerate(self._ask(fresh), start=len(found) + 1):
            found[name] = reply
            if self.store:
                self.store.keep({name: reply})
            if done % 2 == 0:
                advance(progress, 1)
        _check_answered(len(names), found)
        return {question: found[name] for name, question in names.items()}

    def _ask(self, questions: Sequence[Prompt]) -> Any:
        if not questions:
            return
        generator = self._generator or self.judge.generator
        sampling = Sampling(temperature=self.judge.temperature, max_new_tokens=self.judge.max_new_tokens)
        for generation in generator.generate(questions, sampling, seed=0):
            if generation.failure is None:  # what failed is asked again by the next run
                yield generation.id, generation.response
        interrupt.check()


def _foregone(prompt: Prompt, a: str, b: str) -> Verdict | None:
    """The verdict on answers that say the same or nothing."""
    if a.split() == b.split():
        return Verdict(prompt.id, TIE)
    if is_empty(a) or is_empty(b):
        return Verdict(prompt.id, 0.0 if is_empty(a) else 1.0)
    return None


def _check_answered(wanted: int, found: Mapping[str, str]) -> None:
    if len(found) < wanted:
        raise PladError(
            f"a judge must reply to every question, but {wanted - len(found)} of {wanted} have no reply. "
            "Run the same command again: only those are asked."
        )
