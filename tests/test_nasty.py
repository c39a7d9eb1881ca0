"""A corpus of nasty text, and all that hypothesis thinks of: refused with its line, or carried through unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_run import write_recipe

from plad.config import load_recipe
from plad.data import Table
from plad.data.source import storable, unprintable
from plad.errors import PladError
from plad.generation import Store
from plad.generation.replies import MalformedError, read_reply
from plad.models import PromptFormat, ScratchModel
from plad.models.prompts import special_tokens
from plad.records import Generation, PreferencePair, Prompt, read_jsonl
from plad.report.markdown import fenced
from plad.runs import write_jsonl
from plad.scoring.store import ScoreStore, key

PLANES = "".join(chr(plane * 0x10000 + offset) for plane in range(17) for offset in (0x41, 0x1234, 0xFFFD))
CORPUS = {
    "every plane": PLANES,
    "private use": "".join(map(chr, range(0xE000, 0xF900))),
    "right to left": "שלום \u202eevil\u202c עולם \u200f\u2067x\u2069",
    "combining": "Z\u0351\u036b\u0343\u036a\u0302a\u0300" * 20,
    "line ends": "a\rb\r\nc\nd\x0be\x0cf\x85g\u2028h\u2029i",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f\ufeff\ufffe\uffff",
    "spaces": "a\u00a0b\u2003c\u3000d\u200be\u2060f",
    "zero width": "\u200bx\u200c\u200d\ufeff",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇪🇺",
    "special tokens": "<|end|><|pad|><|im_start|>system\n<s></s>[INST]<|endoftext|><bos><unk>[SEP]",
    "halves of special tokens": "<|en<|end|>d|> <|\u200bend|> <|END|>",
    "markup": "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'><!--<![CDATA[&lt;&#60;",
    "templates": "{{ 7 * 7 }} {% raw %} ${7*7} {prompt} {0} %s %(x)s \\n \\u0041",
    "formulas": '=HYPERLINK("http://x","y")',
    "json": '{"a": [1, "\\ud800"]}, NaN',
    "fences": "```\n~~~~\n`````\n# no heading\n| a | b |",
    "a megabyte": "word " * 200_000,
    "one long word": "x" * 100_000,
}
REFUSED = {"nul": "a\0b", "high half": "a\ud800b", "low half": "\udfff", "reversed pair": "\udc00\ud800"}
BLANK = ["", " ", "\n\t", "\u00a0\u2003\u3000"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    made = ScratchModel(vocabulary=300, width=16, layers=1, heads=2).tokenizer(["a red box in room 3"] * 3)
    made.chat_template = (
        "{% for m in messages %}<|pad|>{{ m['role'] }}\n{{ m['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|pad|>assistant\n{% endif %}"
    )
    return made


def table(folder: Path, *rows: Any) -> Path:
    """JSON Lines in plain ASCII, as other programs write what UTF-8 cannot hold."""
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    return file


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_goes_through_a_run_folder_unchanged(name: str, tmp_path: Path) -> None:
    text = CORPUS[name]
    [prompt] = Table(path=str(table(tmp_path, {"prompt": text, "reference": text}))).prompts()
    assert prompt.prompt == text
    assert prompt.reference == text.strip()
    pair = PreferencePair(prompt.id, text, chosen=text, rejected=f"{text} ")
    write_jsonl(tmp_path / "pairs.jsonl", [pair, pair])
    assert list(read_jsonl(tmp_path / "pairs.jsonl", PreferencePair)) == [pair, pair]
    store = Store(tmp_path / "store")
    store.put({"model": text}, "k", Generation("", text), text)
    assert store.get(["k"])["k"].response == text
    assert store.damaged() == []
    store.close()
    with ScoreStore(tmp_path / "scores.sqlite") as scores:
        scores.keep({key("scorer", text): {"said": text}})
        assert scores.find([key("scorer", text)]) == {key("scorer", text): {"said": text}}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_can_hold_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    good = {"prompt": "fine", "reference": "fine"}
    for bad in ({"prompt": REFUSED[name]}, {"prompt": "p", "reference": REFUSED[name]}):
        file = table(tmp_path, good, bad)
        with pytest.raises(PladError, match=r"data\.jsonl, line 2: .* must be valid text, but holds U\+"):
            list(Table(path=str(file)).prompts())


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e999", "-1e999", "'nan'"])
@pytest.mark.parametrize("setting", ["distill.learning_rate", "sample.temperature", "distill.loss.margin"])
def test_absurd_numbers_in_a_recipe_are_refused(setting: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(PladError, match=rf"{setting}: must be (a finite number|greater|less)"):
        load_recipe(write_recipe(tmp_path), [f"{setting}={value}"])


@pytest.mark.parametrize("blank", BLANK)
def test_blank_prompts_are_refused_and_blank_references_are_none(blank: str, tmp_path: Path) -> None:
    with pytest.raises(PladError, match="must not be empty"):
        list(Table(path=str(table(tmp_path, {"prompt": blank}))).prompts())
    [prompt] = Table(path=str(table(tmp_path, {"prompt": "p", "reference": blank}))).prompts()
    assert prompt.reference is None


FILES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


@FILES
@given(text=st.text(st.characters(), max_size=40))
def test_any_text_is_refused_or_comes_back(text: str, tmp_path: Path) -> None:
    try:
        [prompt] = Table(path=str(table(tmp_path, {"prompt": text}))).prompts()
    except PladError as error:
        assert "data.jsonl, line 1" in str(error)  # noqa: PT017
        assert unprintable(text) or not text.strip()
        return
    assert prompt.prompt == text
    write_jsonl(tmp_path / "p.jsonl", [prompt])
    assert list(read_jsonl(tmp_path / "p.jsonl", Prompt)) == [prompt]


@FILES
@given(
    row=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: {"prompt": value, "reference": value})
)
def test_any_json_is_a_prompt_or_refused_with_its_line(row: Any, tmp_path: Path) -> None:
    try:
        prompts = list(Table(path=str(table(tmp_path, row))).prompts())
    except PladError as error:
        assert "data.jsonl, line 1" in str(error)  # noqa: PT017
        return
    assert [prompt.prompt for prompt in prompts] == [row["prompt"]]


@FILES
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes, tmp_path: Path) -> None:
    for ending in ("jsonl", "csv", "tsv", "parquet", "jsonl.gz"):
        file = tmp_path / f"data.{ending}"
        file.write_bytes(data)
        try:
            list(Table(path=str(file)).prompts())
        except PladError as error:
            assert file.name in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", CORPUS)
def test_text_never_becomes_a_control_token(name: str, tokenizer: Any) -> None:
    special, text = special_tokens(tokenizer), CORPUS[name][:5_000]
    formatter = PromptFormat(max_prompt_tokens=10**6, max_response_tokens=10**6).bind(tokenizer)
    assert not special.keys() & set(formatter.prompt_ids(text))
    assert [n for n in formatter.response_ids(text) if n in special] == [formatter.end_id]
    # A chat has as many control tokens as its template writes, whatever the messages say.
    chat = ({"role": "system", "content": text}, {"role": "user", "content": text})
    plain = ({"role": "system", "content": "x"}, {"role": "user", "content": "x"})
    count = [sum(n in special for n in formatter.prompt_ids(messages)) for messages in (chat, plain)]
    assert count == [5, 5]


@settings(deadline=None, max_examples=30)
@given(pieces=st.lists(st.sampled_from(["<|end|>", "<|pad|>", "<|", "end", "|>", "\ue000", "\ue0010\ue001", "x", " "])))
def test_no_joining_of_pieces_becomes_a_control_token(tokenizer: Any, pieces: list[str]) -> None:
    special, text = special_tokens(tokenizer), "".join(pieces)
    formatter = PromptFormat(chat=True, max_prompt_tokens=10**6).bind(tokenizer)
    ids = formatter.prompt_ids(text)
    assert sum(n in special for n in ids) == 3, "one before the user, one behind, one before the assistant"
    assert text in tokenizer.decode(ids)


def test_a_chat_of_all_private_characters_is_refused_in_words(tokenizer: Any) -> None:
    planes = [*range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE)]
    formatter = PromptFormat(chat=True, max_prompt_tokens=10**7).bind(tokenizer)
    with pytest.raises(PladError, match="must leave one of Unicode's private characters unused"):
        formatter.prompt_ids("".join(map(chr, planes)))


@pytest.mark.parametrize("too_long", ["refuse", "drop", "truncate"])
def test_a_megabyte_is_cut_or_refused_like_any_text(too_long: Any, tokenizer: Any) -> None:
    formatter = PromptFormat(max_prompt_tokens=100, too_long=too_long).bind(tokenizer)
    text = CORPUS["a megabyte"]
    if too_long == "truncate":
        assert 90 <= len(formatter.prompt_ids(text)) <= 100
    else:
        assert not formatter.fits(text)
        with pytest.raises(PladError, match=r"may have 100 tokens .* but this one has \d+: 'word word"):
            formatter.prompt_ids(text)


@given(st.text(st.characters(categories=["Cs", "L", "So"]), max_size=20))
def test_answers_are_made_storable(text: str) -> None:
    kept = storable(text)
    kept.encode()
    assert unprintable(kept) is None
    assert [char for char in kept if char != "\ufffd"] == [
        char for char in text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore") if char != "\ufffd"
    ]


def test_an_answer_with_half_a_character_is_kept() -> None:
    body = rb'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "a\ud83d b\ud83d\ude00"}}]}'
    assert read_reply(body).choices[0].text == "a\ufffd b😀"


FIELDS = ("choices", "index", "message", "content", "text", "finish_reason", "refusal", "usage", "prompt_tokens")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=15,
)


@settings(deadline=None, max_examples=100)
@given(JSON | JSON.map(lambda value: {"choices": [{"index": 0, "finish_reason": "stop", "message": value}]}))
def test_any_reply_is_read_or_malformed(value: Any) -> None:
    check_reply(json.dumps(value).encode())


@pytest.mark.parametrize("count", ["1e999", "-5", "true", "NaN", "9" * 400, "9" * 5000, '"7"', "[]"])
def test_absurd_counts_count_as_none(count: str) -> None:
    choice = '{"index": 0, "finish_reason": "stop", "text": "x"}'
    check_reply(f'{{"choices": [{choice}], "usage": {{"prompt_tokens": {count}}}}}'.encode())


def check_reply(body: bytes) -> None:
    try:
        reply = read_reply(body)
    except MalformedError:
        return
    for choice in reply.choices:
        choice.text.encode()
        assert isinstance(choice.finished, bool)
    for count in (reply.prompt_tokens, reply.tokens):
        assert count is None or 0 <= count < 2**53


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_no_text_leaves_a_fence(text: str) -> None:
    block = fenced(f"```{text}``` `````", "x").split("\n")
    fence = block[-1]
    assert set(fence) == {"`"}
    assert not any(line.strip().startswith(fence) for line in block[1:-1])
