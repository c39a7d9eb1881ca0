"""Models of the architectures that the recipes name, a few thousand parameters each, with tokenizers of their kind."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

WORDS = ["river", "stone", "lamp", "under", "over", "green", "quiet", "seven", "paper", "boat", "walks", "sings"]


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def tldr_rows(count: int) -> list[dict[str, str]]:
    """The columns of trl-lib/tldr."""
    rng = random.Random(0)
    return [
        {
            "prompt": f"SUBREDDIT: r/{n}\n\nTITLE: {text(rng, 4)}\n\nPOST: {text(rng, 12)}\n\nTL;DR:",
            "completion": text(rng, 4),
        }
        for n in range(count)
    ]


def hh_rows(count: int) -> list[dict[str, str]]:
    """The column of Anthropic/hh-rlhf that the source reads; every other conversation has two rounds."""
    rng = random.Random(0)
    rows = []
    for n in range(count):
        earlier = f"\n\nHuman: {text(rng, 5)}\n\nAssistant: {text(rng, 5)}" * (n % 2)
        rows.append({"chosen": f"{earlier}\n\nHuman: {text(rng, 9)}\n\nAssistant: {text(rng, 5)}"})
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tokenizer(kind: str) -> Any:
    """As each family has it: LLaMA begins with <s>, GPT-Neo has one special token for all, T5 and DeBERTa end texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = {
        "llama": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        "gpt_neo": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
        "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
        "deberta-v2": {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"},
    }[kind]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    names = [*dict.fromkeys(special.values())]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=names, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(WORDS, trainer)
    single, pair = {
        "llama": ("<s> $A", "<s> $A $B"),
        "gpt_neo": ("$A", "$A $B"),
        "t5": ("$A </s>", "$A </s> $B </s>"),
        "deberta-v2": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    }[kind]
    ids = [(name, bpe.token_to_id(name)) for name in names]
    bpe.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **special)


def model(kind: str, folder: Path, width: int) -> Path:
    """Save a tiny model of an architecture, and its tokenizer."""
    import torch
    from transformers import (
        DebertaV2Config,
        DebertaV2ForSequenceClassification,
        GPTNeoConfig,
        GPTNeoForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        T5Config,
        T5ForConditionalGeneration,
    )

    words = tokenizer(kind)
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    torch.manual_seed(width)
    if kind == "llama":
        sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 1, "num_attention_heads": 2}
        made: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), max_position_embeddings=2048, **sizes, **ids))
    elif kind == "gpt_neo":
        sizes = {"hidden_size": width, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}
        made = GPTNeoForCausalLM(GPTNeoConfig(vocab_size=len(words), max_position_embeddings=2048, **sizes, **ids))
    elif kind == "t5":
        sizes = {"d_model": width, "d_kv": width // 2, "d_ff": 2 * width, "num_layers": 1, "num_heads": 2}
        made = T5ForConditionalGeneration(T5Config(vocab_size=len(words), decoder_start_token_id=0, **sizes, **ids))
    else:
        sizes = {"hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 2 * width}
        relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
        settings = {"vocab_size": len(words), "num_labels": 1, "type_vocab_size": 0, **sizes, **relative}
        made = DebertaV2ForSequenceClassification(DebertaV2Config(**settings, pad_token_id=words.pad_token_id))
    made.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
