"""From a prompt and a response to token ids: the only place that renders a prompt.

Prompt and response are tokenised apart and their ids joined, so that the prompt is a token prefix of the whole under
every tokenizer. A response ends with exactly one end token unless it was cut short.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from plad.errors import PladError
from plad.records import PromptText, together
from plad.spec import Spec

AT_ONCE = 64
"""Texts that are tokenised together: one by one, calling the tokenizer takes a quarter of the time."""

_IDS_ALONE = {"return_attention_mask": False, "return_token_type_ids": False}


class Shown(Spec):
    """An example that a model is shown before it is asked: a plain prompt, and how it is to be answered."""

    prompt: str
    response: str


class PromptFormat(Spec):
    """How a task's prompts are shown to a model. A conversation goes through the model's chat template.

    Examples stand before every prompt, in a chat as turns of both sides, and are never cut.
    """

    template: str = Field("{prompt}", description="what a plain prompt is wrapped in; must hold {prompt}")
    chat: bool = Field(False, description="send a plain prompt as a user's message through the chat template")
    system: str | None = Field(None, description="a system message before every conversation")
    examples: tuple[Shown, ...] = Field((), description="prompts and their answers, shown before every prompt")
    max_prompt_tokens: int = Field(512, ge=1)
    max_response_tokens: int = Field(128, ge=1)
    too_long: Literal["refuse", "drop", "truncate"] = Field(
        "refuse", description="what becomes of a prompt over max_prompt_tokens"
    )

    def bind(self, tokenizer: Any, encoder_decoder: bool = False, end_id: int | None = None) -> Formatter:
        """This format under one tokenizer.

        Raises:
            PladError: the template has no {prompt}, or a chat is wanted of a tokenizer without a chat template.
        """
        if "{prompt}" not in self.template:
            raise PladError(f"prompt.template must hold {{prompt}}, but it is {self.template!r}.")
        if self.chat and not tokenizer.chat_template:
            raise PladError("prompt.chat is on, but the tokenizer has no chat template. Set it to false.")
        return Formatter(self, tokenizer, encoder_decoder, find_end_id(tokenizer) if end_id is None else end_id)

    def messages(self, prompt: PromptText) -> list[dict[str, str]]:
        """The conversation that a prompt is sent as: a plain one is a user's message.

        Examples stand before it, and behind a system message of its own: most chat templates want that first.
        """
        if isinstance(prompt, str):
            prompt = ({"role": "user", "content": self._wrapped(prompt)},)
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        own = int(prompt[0]["role"] == "system")
        messages = [dict(message) for message in prompt]
        return [*system, *messages[:own], *self.turns(), *messages[own:]]

    def turns(self) -> list[dict[str, str]]:
        """The examples as turns of both sides."""
        return [
            {"role": role, "content": text}
            for example in self.examples
            for role, text in (("user", self._wrapped(example.prompt)), ("assistant", example.response))
        ]

    def plain(self, prompt: str) -> str:
        """The text that a plain prompt is for a model that completes text, behind the examples."""
        return self.shown() + self._wrapped(prompt)

    def shown(self) -> str:
        """The examples as a text to complete, one above the other."""
        return "".join(f"{self._wrapped(example.prompt)}{example.response}\n\n" for example in self.examples)

    def sent(self, prompt: PromptText, chat: bool) -> str:
        """What a server is sent, which renders it with a tokenizer of its own: messages as JSON, or plain text."""
        if chat:
            return json.dumps(self.messages(prompt), ensure_ascii=False)
        if isinstance(prompt, str) and self.system is None:
            return self.plain(prompt)
        return _transcript(self.messages(prompt))

    def _wrapped(self, prompt: str) -> str:
        return self.template.replace("{prompt}", prompt)


class Formatter:
    """A prompt format bound to a tokenizer."""

    def __init__(self, spec: PromptFormat, tokenizer: Any, encoder_decoder: bool, end_id: int):
        self.spec, self.tokenizer, self.encoder_decoder, self.end_id = spec, tokenizer, encoder_decoder, end_id
        self._special = special_tokens(tokenizer)

    def prompt_ids(self, prompt: PromptText) -> list[int]:
        """Token ids of a rendered prompt; under `too_long: truncate` its text is cut so that it fits.

        Raises:
            PladError: the prompt yields no token, or is over `max_prompt_tokens` and the format refuses that.
        """
        [ids] = self.all_prompt_ids([prompt])
        return ids

    def all_prompt_ids(self, prompts: Iterable[PromptText]) -> Iterator[list[int]]:
        """As `prompt_ids` of each, some tokenised together."""
        for prompt, ids in self._all_rendered(prompts):
            yield self._checked(prompt, ids)

    def rendered(self, prompt: PromptText) -> str:
        """The token ids of a rendered prompt as text: what a local model is shown, to the last token."""
        return " ".join(map(str, self.prompt_ids(prompt)))

    def fits(self, prompt: PromptText) -> bool:
        """Whether the prompt is within `max_prompt_tokens` as it stands."""
        [fits] = self.all_fit([prompt])
        return fits

    def all_fit(self, prompts: Iterable[PromptText]) -> Iterator[bool]:
        """As `fits` of each, some tokenised together."""
        return (len(ids) <= self.spec.max_prompt_tokens for _, ids in self._all_rendered(prompts))

    def response_ids(self, response: str, finished: bool = True) -> list[int]:
        """Token ids of a response with its one end token; cut to `max_response_tokens`, and then without it."""
        return self._ended(self._plain(response), finished)

    def all_response_ids(self, responses: Sequence[str]) -> list[list[int]]:
        """As `response_ids` of each, all tokenised together."""
        return [self._ended(ids, finished=True) for ids in all_plain_ids(self.tokenizer, responses, self._special)]

    def decode(self, ids: Sequence[int]) -> tuple[str, bool]:
        """The text of sampled ids up to the end token, and whether there was one."""
        ids = list(ids)
        finished = self.end_id in ids
        if finished:
            ids = ids[: ids.index(self.end_id)]
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip(), finished

    def _all_rendered(self, prompts: Iterable[PromptText]) -> Iterator[tuple[PromptText, list[int]]]:
        """Each prompt with its ids, as long as it is."""
        for some in together(prompts, AT_ONCE):
            texts = [self._text(prompt) for prompt in some]
            ids = iter(self._all_with_special([text for text in texts if text is not None]))
            for prompt, text in zip(some, texts, strict=True):
                yield prompt, self._render_chat(prompt) if text is None else next(ids)

    def _render(self, prompt: PromptText) -> list[int]:
        [(_, ids)] = self._all_rendered([prompt])
        return ids

    def _checked(self, prompt: PromptText, ids: list[int]) -> list[int]:
        limit = self.spec.max_prompt_tokens
        if len(ids) > limit and self.spec.too_long == "truncate":
            ids = self._truncated(prompt)
        if not ids:
            raise PladError("a prompt must have at least one token, but this one is empty. Remove it from the data.")
        if len(ids) > limit:
            raise PladError(
                f"a prompt may have {limit} tokens (prompt.max_prompt_tokens), but this one has {len(ids)}: "
                f"{_start(prompt)!r}. Raise the limit, or set prompt.too_long to drop or truncate."
            )
        return ids

    def _text(self, prompt: PromptText) -> str | None:
        """What the model reads as text; None of a conversation for which the tokenizer has a template."""
        if isinstance(prompt, str) and not self.spec.chat:
            return self.spec.plain(prompt)
        return None if self.tokenizer.chat_template else _transcript(self.spec.messages(prompt))

    def _render_chat(self, prompt: PromptText) -> list[int]:
        return chat_ids(self.tokenizer, self.spec.messages(prompt), self._special)

    def _all_with_special(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts with the special tokens that this model's inputs begin (and, for an encoder, end) with."""
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), split_special_tokens=True, return_special_tokens_mask=True, **_IDS_ALONE)
        return list(map(self._framed, encoded["input_ids"], encoded["special_tokens_mask"]))

    def _framed(self, ids: list[int], added: list[int]) -> list[int]:
        """Ids of a text and the special tokens that were put before it, and behind it where these are wanted."""
        # By the mask, not by the id: a text may end with the unknown token, which is special too.
        if 0 not in added:
            return ids if self.encoder_decoder else []
        begin, end = added.index(0), len(ids) - added[::-1].index(0)
        text = _without(ids[begin:end], self.tokenizer, self._special)
        return ids[:begin] + text + (ids[end:] if self.encoder_decoder else [])

    def _ended(self, ids: list[int], finished: bool) -> list[int]:
        return [*ids, *([self.end_id] if finished else [])][: self.spec.max_response_tokens]

    def _plain(self, text: str) -> list[int]:
        return plain_ids(self.tokenizer, text, self._special)

    def _truncated(self, prompt: PromptText) -> list[int]:
        """Cut the text at its end, not the template round it, until the whole fits; of a chat, early messages first."""
        texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
        rendered = self._render(prompt)
        for k, text in enumerate(texts):
            ids = self._plain(text)
            while ids and (excess := len(rendered) - self.spec.max_prompt_tokens) > 0:
                ids = ids[:-excess]
                texts[k] = self.tokenizer.decode(ids).rstrip("\ufffd")  # half a character
                rendered = self._render(_with_texts(prompt, texts))
        return rendered


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """The control tokens of a tokenizer by their ids."""
    return {n: str(token) for n, token in tokenizer.added_tokens_decoder.items() if token.special}


def plain_ids(tokenizer: Any, text: str, special: Mapping[int, str]) -> list[int]:
    """Ids of a text in which special tokens that are written out are text, never control tokens."""
    [ids] = all_plain_ids(tokenizer, [text], special)
    return ids


def all_plain_ids(tokenizer: Any, texts: Sequence[str], special: Mapping[int, str]) -> list[list[int]]:
    """As `plain_ids` of each, tokenised together."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, **_IDS_ALONE)["input_ids"]
    return [_without(ids, tokenizer, special) for ids in found]


def chat_ids(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], special: Mapping[int, str], answer: bool = True
) -> list[int]:
    """Ids of a chat. The template writes the special tokens, a beginning token included; a message cannot.

    What looks like a special token in a message is a mark while the template is rendered.

    Args:
        answer: end with what an answer begins with.

    Raises:
        PladError: the messages leave no character to mark with.
    """
    names = list(special.values())
    mark = _unused({char for message in messages for char in message["content"]})
    marked = [dict(message) for message in messages]
    for number, token in enumerate(names):
        for message in marked:
            message["content"] = message["content"].replace(token, f"{mark}{number}{mark}")
    text = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=answer)
    ids: list[int] = []
    for place, piece in enumerate(text.split(mark)):
        if place % 2:
            ids += plain_ids(tokenizer, names[int(piece)], special)
        elif piece:
            ids += tokenizer(piece, add_special_tokens=False)["input_ids"]
    return ids


def find_end_id(tokenizer: Any) -> int:
    """The id that ends an assistant's turn: what the chat template writes behind its text, else the eos token.

    Raises:
        PladError: the tokenizer has neither.
    """
    if tokenizer.chat_template:
        mark = "plad-end-of-turn-probe"
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": mark}]
        tail = tokenizer.apply_chat_template(turns, tokenize=False).split(mark)[-1]
        special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
        for token in tokenizer(tail, add_special_tokens=False)["input_ids"]:
            if token in special:
                return int(token)
    if tokenizer.eos_token_id is None:
        raise PladError("a tokenizer must have an end token, but this one has no eos_token. Set it and save it again.")
    return int(tokenizer.eos_token_id)


def _without(ids: list[int], tokenizer: Any, special: Mapping[int, str]) -> list[int]:
    # Unigram vocabularies hold special tokens as words, which nothing splits: there they are left out.
    if special.keys().isdisjoint(ids):
        return ids
    unknown = tokenizer.unk_token_id
    return [n for n in ids if n not in special or n == unknown]


def _unused(chars: set[str]) -> str:
    """A character for private use that is none of `chars`.

    Raises:
        PladError: all 137,468 of them are.
    """
    planes = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
    if free := next((chr(code) for plane in planes for code in plane if chr(code) not in chars), None):
        return free
    raise PladError("a conversation must leave one of Unicode's private characters unused. Remove it from the data.")


def _with_texts(prompt: PromptText, texts: Sequence[str]) -> PromptText:
    if isinstance(prompt, str):
        return texts[0]
    return tuple({**message, "content": text} for message, text in zip(prompt, texts, strict=True))


def _transcript(messages: Sequence[Any]) -> str:
    """A conversation for a model without a chat template, as the HH data writes it."""
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    turns = [f"\n\n{names.get(m['role'], m['role'].title())}: {m['content']}" for m in messages]
    return "".join(turns).lstrip("\n") + "\n\nAssistant:"


def _start(prompt: PromptText) -> str:
    text = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    return text[:60] + "…" if len(text) > 60 else text
