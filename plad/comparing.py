"""`plad evaluate --model A --model B --data F`: any models, adapters or files of outputs, without a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from plad.config import Sample, Scorer
from plad.data.rows import read_path
from plad.data.source import prompt_id, storable
from plad.data.table import Columns, Table, prompt_cell
from plad.errors import PladError
from plad.evaluation.length import length_controlled
from plad.evaluation.paired import versus
from plad.evaluation.statistics import mean, wins
from plad.generation import HFGenerator
from plad.models import PretrainedModel, PromptFormat
from plad.models.load import load_folder
from plad.progress import Display
from plad.records import Generation, Prompt, dump_line, read_jsonl
from plad.runs import describe_path, fingerprint
from plad.scoring.judging import is_pairwise, needs_training, remembering
from plad.scoring.length import word_count
from plad.scoring.store import ScoreStore
from plad.spec import Spec


class Comparison(Spec):
    """What is compared, on what, by whom. Its outputs and scores stay in `folder`: a second call does not repeat them.

    `models`: hub ids, model or adapter folders, or JSON Lines files of outputs (`response`, and `id` or `prompt`).
    `data`: a table with the column `prompt` and, if it has them, `id` and `reference`.
    """

    models: tuple[str, ...]
    data: str
    judge: Scorer
    folder: Path
    sampling: Sample = Sample(temperature=0.0, max_new_tokens=128)
    max_prompt_tokens: int = 512
    limit: int | None = None
    seed: int = 1

    def run(self, display: Display) -> dict[str, Any]:
        """Answer, judge and compare.

        Returns:
            `n`, `scorer`, `models` (each with its words and, where there are references, its win rate against them)
            and `pairs` (each with the win rate of `a` over `b`, what `versus` says, and it at equal length).

        Raises:
            PladError: there are fewer than two models, an output is missing, or the judge is yet to be trained.
        """
        if len(set(self.models)) < 2 or len(set(self.models)) < len(self.models):
            raise PladError(f"a comparison needs two different models or more, but got {', '.join(self.models)}.")
        if needs_training(self.judge):
            raise PladError(f"a judge of type {self.judge.type} scores after training. Give the `folder` of one.")
        prompts = list(self._prompts())[: self.limit]
        answers = {model: self._answers(model, prompts, display) for model in self.models}
        with ScoreStore(self.folder / "scores.sqlite") as store, display.bar("judging", None):
            judged = _Judged(remembering(self.judge, store), prompts, answers)
            pairs = [self._pair(judged, a, b) for a, b in combinations(self.models, 2)]
            rows = [self._row(judged, model) for model in self.models]
        return {"n": len(prompts), "scorer": self.judge.description, "models": rows, "pairs": pairs}

    def _pair(self, judged: _Judged, a: str, b: str) -> dict[str, Any]:
        outcomes = judged.outcomes(judged.answers[a], judged.answers[b])
        ours, theirs = ([float(word_count(text)) for text in judged.answers[model]] for model in (a, b))
        held = length_controlled(outcomes, ours, theirs, self.seed).to_json()
        return {"a": a, "b": b, **versus(outcomes, self.seed), "at_equal_length": held}

    def _row(self, judged: _Judged, model: str) -> dict[str, Any]:
        answers = judged.answers[model]
        words = mean([float(word_count(text)) for text in answers], self.seed).to_json()
        references = [prompt.reference or "" for prompt in judged.prompts]
        against = versus(judged.outcomes(answers, references), self.seed)["win_rate"] if all(references) else None
        return {"name": model, "words": words, "win_rate": against}

    def _prompts(self) -> Iterator[Prompt]:
        """The prompts of the data, the first of those that share an id."""
        first = next(iter(read_path(self.data)), None)
        own = "id" if first is not None and "id" in first[1] else None
        seen: dict[str, Prompt] = {}
        for prompt in Table(path=self.data, columns=Columns(id=own)).prompts():
            seen.setdefault(prompt.id, prompt)
        yield from seen.values()

    def _answers(self, model: str, prompts: Sequence[Prompt], display: Display) -> list[str]:
        if Path(model).is_file():
            return _recorded(Path(model), prompts)
        named = [model, describe_path(Path(model)), self.sampling.model_dump(), self.max_prompt_tokens, self.seed]
        mark = fingerprint([named, [[prompt.id, prompt.prompt] for prompt in prompts]])[:16]
        file = self.folder / f"outputs-{mark}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        done = _done(file)
        with display.bar(f"answers of {model}", len(prompts)) as advance, file.open("a", encoding="utf-8") as lines:
            if any(prompt.id not in done for prompt in prompts):
                for generation in self._generator(model).generate(
                    prompts, self.sampling, self.seed, {(name, 0) for name in done}
                ):
                    done[generation.id] = generation
                    lines.write(dump_line(generation))
                    lines.flush()
                    advance(len(done), {})
        return [done[prompt.id].response for prompt in prompts]

    def _generator(self, path: str) -> HFGenerator:
        folder = Path(path)
        if (folder / "adapter_config.json").is_file():
            model, tokenizer = load_folder(folder)
        else:
            source = PretrainedModel(path=path)
            source.check()
            tokenizer = source.tokenizer(())
            model = source.model(tokenizer, 0)
        shown = PromptFormat(
            chat=bool(tokenizer.chat_template), max_prompt_tokens=self.max_prompt_tokens, too_long="truncate"
        )
        return HFGenerator(
            model, shown.bind(tokenizer, bool(model.config.is_encoder_decoder)), self.sampling.batch_size
        )


class _Judged:
    """The answers of all models, and who wins on each prompt."""

    def __init__(self, scorer: Any, prompts: Sequence[Prompt], answers: dict[str, list[str]]):
        self.scorer, self.prompts, self.answers = scorer, prompts, answers

    def outcomes(self, a: Sequence[str], b: Sequence[str]) -> list[float]:
        """1 where a is better, ½ for a tie, 0 where b is."""
        if is_pairwise(self.scorer):
            return [verdict.outcome for verdict in self.scorer.compare(self.prompts, a, b)]
        return list(wins(self.scorer.score(self.prompts, a), self.scorer.score(self.prompts, b)))


def comparison(settings: Mapping[str, Any]) -> Comparison:
    """A comparison of these settings.

    Raises:
        PladError: one of them is unknown or of the wrong kind.
    """
    try:
        return Comparison(**settings)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise PladError(f"evaluate: {place}: {problem['msg']}. Known: {', '.join(Comparison.model_fields)}.") from None


def parse_scorer(text: str) -> Any:
    """A scorer by its type alone (`length`), or by a mapping in YAML (`{type: reward_model, model: X}`).

    Raises:
        PladError: it is neither.
    """
    try:
        value = yaml.safe_load(text)
        return TypeAdapter(Scorer).validate_python({"type": value} if isinstance(value, str) else value)
    except (yaml.YAMLError, ValidationError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is not YAML"
        raise PladError(
            f"--judge takes a scorer, such as length or '{{type: reward_model, model: X}}', but got {text!r}: {what}."
        ) from None


def _recorded(file: Path, prompts: Sequence[Prompt]) -> list[str]:
    """The `response` of each prompt in a file of outputs, found by `id` or, without one, by `prompt`."""
    found: dict[str, str] = {}
    for place, row in read_path(file):
        if not isinstance(row.get("response"), str):
            raise PladError(f"{place}: an output needs text in the column 'response'. Name the column so.")
        name = row["id"] if "id" in row else prompt_id(prompt_cell(place, "prompt", row.get("prompt")))
        found.setdefault(str(name), storable(row["response"]))
    # The data may name its prompts where the outputs repeat them, and the other way round.
    names = [(prompt.id, prompt_id(prompt.prompt)) for prompt in prompts]
    if missing := [own for own, by_text in names if own not in found and by_text not in found]:
        raise PladError(
            f"{file} must answer every prompt, but {len(missing)} of {len(prompts)} have no output, such as "
            f"{missing[0]!r}. Give outputs to the same prompts."
        )
    return [found[own] if own in found else found[by_text] for own, by_text in names]


def _done(file: Path) -> dict[str, Generation]:
    """What an interrupted call wrote; a last line that a crash cut short is dropped."""
    if not file.is_file():
        return {}
    with file.open("r+b") as lines:
        lines.truncate(lines.read().rfind(b"\n") + 1)
    return {generation.id: generation for generation in read_jsonl(file, Generation)}
