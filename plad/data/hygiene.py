"""Answers of a teacher that nobody should learn from: filters, each off unless a recipe turns it on.

Empty, cut-off and identical answers make no pair whatever the filters say (`pairs.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from plad.data.source import fold
from plad.records import Generation, Prompt
from plad.spec import Spec

# How models begin to decline in English. A refusal that the server marks as one is known without them.
_REFUSAL = re.compile(
    r"(i('m| am) (very |so |really )?(sorry|afraid|unable|not able)|(sorry|apologies|unfortunately),? (but )?i\b"
    r"|i (can('|)t|cannot|can not|won't|will not|must decline)\b|as an? (ai|(large )?language model)\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")

# The scripts of letters, by ranges of code points, that a language written in another one has none of.
_SCRIPTS = {
    "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "cyrillic": ((0x400, 0x52F),),
    "hebrew": ((0x590, 0x5FF),),
    "arabic": ((0x600, 0x6FF), (0x750, 0x77F)),
    "devanagari": ((0x900, 0x97F),),
    "thai": ((0xE00, 0xE7F),),
    "han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2FA1F)),
    "kana": ((0x3040, 0x30FF),),
    "hangul": ((0x1100, 0x11FF), (0xAC00, 0xD7AF)),
}

# The most frequent words of languages that share the Latin script: what langid needs when it may be small.
_FREQUENT = {
    "en": "the of and to in is that it for was with as on are this be by an not or from at which you have",
    "de": "der die und das ist nicht ein eine zu den mit von für auf dem sich im auch es ich werden wird",
    "fr": "le la les des est et une dans que pour pas sur par avec qui au du ce il sont plus nous vous",
    "es": "el la los las es y una que en por para con del se su al lo como más pero sus no este",
    "it": "il la di che è un una per con del non sono della nel le gli si da anche come più alla",
    "pt": "o a os as é e um uma que em para com não do da dos por mais se como no na ao",
    "nl": "de het een en van is dat op te niet voor met zijn aan er ook als maar door naar bij",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FREQUENT.items()}


class Hygiene(Spec):
    """Which of the teacher's answers make no pair. The reasons' counts are in pairs.json and in the report."""

    refusal: bool = Field(False, description="the server says so, or it begins as refusals in English do")
    copy_of_prompt: float | None = Field(
        None, gt=0, le=1, description="from this share on of the answer's runs of four words that the prompt has too"
    )
    repetition: float | None = Field(
        None, gt=0, le=1, description="from this share on of runs of three words that stood in the answer before"
    )
    language: str | None = Field(None, pattern=f"^({'|'.join([*_WORDS, *_SCRIPTS])})$", description="a language or script")
    min_words: int | None = Field(None, ge=1)
    max_words: int | None = Field(None, ge=1)
    duplicates: bool = Field(False, description="all but the first of several prompts with the same answer")

    def reasons(self, prompts: Iterable[Prompt], answers: Mapping[str, Generation]) -> dict[str, str]:
        """By the id of a prompt, why its answer is left out: the first that holds, in the order of the settings."""
        found: dict[str, str] = {}
        seen: set[str] = set()
        for prompt in prompts:
            if (answer := answers.get(prompt.id)) is None or not fold(answer.response) and answer.refusal is None:
                continue
            if reason := next((name for name, holds in self._tests() if holds(prompt, answer)), None):
                found[prompt.id] = reason
            elif self.duplicates and (text := fold(answer.response).lower()) in seen:
                found[prompt.id] = "duplicate_teacher"
            elif self.duplicates:
                seen.add(text)
        return found

    def _tests(self) -> Sequence[tuple[str, Callable[[Prompt, Generation], bool]]]:
        """The filters that are on."""
        tests: list[tuple[str, Any, Callable[[Prompt, Generation], bool]]] = [
            ("refusal_teacher", self.refusal, lambda _, answer: is_refusal(answer)),
            ("copy_teacher", self.copy_of_prompt, lambda p, a: copied_share(a.response, p.text) >= self.copy_of_prompt),
            ("repetitive_teacher", self.repetition, lambda _, a: repeated_share(a.response) >= self.repetition),
            ("language_teacher", self.language, lambda _, a: not is_language(a.response, str(self.language))),
            ("short_teacher", self.min_words, lambda _, a: len(a.response.split()) < self.min_words),
            ("long_teacher", self.max_words, lambda _, a: len(a.response.split()) > self.max_words),
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


def is_language(response: str, wanted: str) -> bool:
    """Whether most letters are of a script, or no other language's frequent words are more than those of `wanted`.

    An answer without a frequent word of any language (a name, a line of code) passes: nothing speaks against it.
    """
    if wanted in _SCRIPTS:
        letters = [letter for letter in response if letter.isalpha()]
        return 2 * sum(_in_script(letter, wanted) for letter in letters) >= len(letters)
    if not is_language(response, "latin"):
        return False
    counts = Counter({name: sum(word in words for word in _words(response)) for name, words in _WORDS.items()})
    return counts[wanted] == max(counts.values())


def _in_script(letter: str, script: str) -> bool:
    return any(low <= ord(letter) <= high for low, high in _SCRIPTS[script])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)] if size else []
