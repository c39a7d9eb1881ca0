"""A tokenizer in a GGUF file. llama.cpp has its own code for each kind, of which some are told apart by a name."""

from __future__ import annotations

import json
from typing import Any

from plad.errors import PladError

_SMOLLM = ["Digits", "ByteLevel"]

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SPLITS = {
    _SPLIT.replace("DIGITS", r"\p{N}"): "qwen2",
    _SPLIT.replace("DIGITS", r"\p{N}{1,3}"): "llama-bpe",
}
"""How a byte-level tokenizer cuts text before it joins bytes, and what llama.cpp calls that."""


def check_vocabulary(tokenizer: Any) -> str:
    """What llama.cpp calls the way this tokenizer cuts text; `llama` for one that falls back to bytes.

    Raises:
        PladError: llama.cpp has no such tokenizer.
    """
    found = json.loads(tokenizer.backend_tokenizer.to_str())
    if found["model"]["type"] != "BPE":
        raise PladError(
            f"llama.cpp has byte-level and byte-fallback BPE tokenizers, but this one is a {found['model']['type']} "
            "(`tokens: words` of a model trained from scratch is one). Train with `tokens: bytes`, or export it with "
            "--to merged."
        )
    if found["model"].get("byte_fallback"):
        return "llama"
    if (name := _cut(found["pre_tokenizer"])) and (found["normalizer"] or {}).get("type") in (None, "NFC"):
        return name
    raise PladError(
        "llama.cpp cuts text in ways that it knows by name, and that of this tokenizer is none that is known here. "
        "Export it with --to merged, and convert that folder with llama.cpp's own converter."
    )


def add_vocabulary(writer: Any, tokenizer: Any, size: int, end_id: int) -> None:
    """Write tokens, merges and the ids of the special ones. `size`: rows of the embedding, at least the tokens."""
    cut = check_vocabulary(tokenizer)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    tokens, types = _tokens(tokenizer, size, cut == "llama")
    writer.add_tokenizer_model("llama" if cut == "llama" else "gpt2")
    writer.add_tokenizer_pre("default" if cut == "llama" else cut)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if cut == "llama":
        writer.add_token_scores(_scores(tokens, merges))
        writer.add_add_space_prefix(False)
    else:
        writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_eos_token_id(end_id)
    for name in ("bos", "unk", "pad"):
        if (number := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(number)


def _tokens(tokenizer: Any, size: int, bytewise: bool) -> tuple[list[str], list[int]]:
    """Every row's token and kind; rows beyond the vocabulary are filled up."""
    from gguf import TokenType

    names = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, types = [], []
    for number in range(size):
        token = names.get(number, f"[PAD{number}]")
        kind = TokenType.NORMAL if number in names else TokenType.UNUSED
        if number in added:
            kind = TokenType.CONTROL if added[number].special else TokenType.USER_DEFINED
        elif bytewise and len(token) == 6 and token.startswith("<0x"):
            kind = TokenType.BYTE
        tokens.append(token)
        types.append(int(kind))
    return tokens, types


def _scores(tokens: list[str], merges: list[tuple[str, ...]]) -> list[float]:
    """What is joined first has the highest score: the rank of the first merge that makes a token."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault("".join(merge), rank)
    return [float(-ranks.get(token, len(merges))) for token in tokens]


def _cut(steps: Any) -> str | None:
    parts = steps.get("pretokenizers", [steps]) if steps else []
    kinds = [part["type"] for part in parts]
    if not parts or kinds[-1] != "ByteLevel" or parts[-1].get("add_prefix_space"):
        return None
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == _SMOLLM and parts[0]["individual_digits"]:
        return "smollm"
    return SPLITS.get(parts[0]["pattern"].get("Regex", "")) if kinds == ["Split", "ByteLevel"] else None
