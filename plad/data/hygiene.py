"""Answers of a teacher that nobody should learn from: filters, each off unless a recipe turns it on.

Empty, cut-off and identical answers make no pair whatever the filters say (`pairs.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from plad.data.source import fold
from plad.errors import PladError
from plad.records import Generation, Prompt
from plad.spec import Spec

# How models begin to decline in English. A refusal that the server marks as one is known without them.
_REFUSAL = re.compile(
    r"(i('m| am) (very |so |really )?(sorry|afraid|unable|not able)|(sorry|apologies|unfortunately),? (but )?i\b"
    r"|i (can('|)t|cannot|can not|won't|will not|must decline)\b|as an? (ai|(large )?language model)\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")


class Hygiene(Spec):
    """Which of the teacher's answers make no pair. The reasons' counts are in pairs.json and in the report."""

    refusal: bool = Field(False, description="the server says so, or it begins as refusals in English do")
    copy_of_prompt: float | None = Field(
        None, gt=0, le=1, description="from this share on of the answer's runs of four words that the prompt has too"
    )
    repetition: float | None = Field(
        None, gt=0, le=1, description="from this share on of runs of three words that stood in the answer before"
    )
    language: str | None = Field(None, pattern="^[a-z]{2}$", description="ISO 639-1; needs `pip install plad[hygiene]`")
    min_words: int | None = Field(None, ge=1)
    max_words: int | None = Field(None, ge=1)
    duplicates: bool = Field(False, description="all but the first of several prompts with the same answer")

    def reasons(self, prompts: Iterable[Prompt], answers: Mapping[str, Generation]) -> dict[str, str]:
        """By the id of a prompt, why its answer is left out: the first that holds, in the order of the settings."""
        reason = self.filter()
        found = ((prompt.id, reason(prompt, answers.get(prompt.id))) for prompt in prompts)
        return {name: why for name, why in found if why}

    def filter(self) -> Callable[[Prompt, Generation | None], str | None]:
        """Tells why an answer is left out, of one prompt after another; None where it is not.

        With `duplicates` it remembers 16 bytes of each answer.
        """
        tests, seen = self._tests(), set[bytes]()

        def reason(prompt: Prompt, answer: Generation | None) -> str | None:
            if answer is None or not (answer.response.strip() or answer.refusal):
                return None
            found = next((name for name, holds in tests if holds(prompt, answer)), None)
            if self.duplicates:
                text = hashlib.sha256(fold(answer.response).lower().encode("utf-8", "surrogatepass")).digest()[:16]
                found = found or ("duplicate_teacher" if text in seen else None)
                seen.add(text)
            return found

        return reason

    def _tests(self) -> Sequence[tuple[str, Callable[[Prompt, Generation], bool]]]:
        """The filters that are on."""
        copied, repeated = self.copy_of_prompt or 0.0, self.repetition or 0.0
        fewest, most = self.min_words or 0, self.max_words or 0
        tests: list[tuple[str, Any, Callable[[Prompt, Generation], bool]]] = [
            ("refusal_teacher", self.refusal, lambda _, answer: is_refusal(answer)),
            ("copy_teacher", copied, lambda prompt, answer: copied_share(answer.response, prompt.text) >= copied),
            ("repetitive_teacher", repeated, lambda _, answer: repeated_share(answer.response) >= repeated),
            ("language_teacher", self.language, lambda _, answer: language(answer.response) != self.language),
            ("short_teacher", fewest, lambda _, answer: len(answer.response.split()) < fewest),
            ("long_teacher", most, lambda _, answer: len(answer.response.split()) > most),
        ]
        return [(name, holds) for name, setting, holds in tests if setting]


def is_refusal(answer: Generation) -> bool:
    """Whether the server marked it as one, or one of its first words is a refusal's in English."""
    return answer.refusal is not None or _REFUSAL.search(fold(answer.response)[:80].replace("’", "'")) is not None


def copied_share(response: str, prompt: str) -> float:
    """The share of the runs of four words (or of the whole, where it is shorter) that stand in the prompt too."""
    words, given = _words(response), _words(prompt)
    size = min(4, len(words))
    inside = set(_runs(given, size))
    runs = _runs(words, size)
    return sum(run in inside for run in runs) / len(runs) if runs else 0.0


def repeated_share(response: str) -> float:
    """The share of runs of three words that stood before in the same answer."""
    runs = _runs(_words(response), 3)
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def language(response: str) -> str:
    """The ISO 639-1 code of the language that a text is most likely in.

    Raises:
        PladError: the package that tells is not installed.
    """
    try:
        import py3langid
    except ImportError:
        raise PladError("pairs.hygiene.language needs a package. Run: pip install 'plad[hygiene]'") from None
    return str(py3langid.classify(response)[0])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)] if size else []
