"""Tiny models with random weights, and a tokenizer of whole words: real architectures, no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>", "<user>", "<bot>"]
NORMAL = ["a", "the", "cat", "dog", "sat", "ran", "two", "numbers", "returns", "list", "of", "sorts", "it", "x", "."]
WORDS = SPECIAL + NORMAL
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.5,
}
CHAT = "{% for m in messages %}{{ '<user> ' if m['role'] == 'user' else '<bot> ' }}{{ m['content'] }} </s> {% endfor %}"


def word_tokenizer(**special: Any) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "cls_token" in special:
        words.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))],
        )
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", **special)


def encoder_tokenizer() -> PreTrainedTokenizerFast:
    """As BERT's and DeBERTa's: marks the second text of a pair."""
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return word_tokenizer(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", model_input_names=names)


def saved(folder: Path, model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> str:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return saved(tmp_path_factory.mktemp("bert"), BertModel(BertConfig(**SMALL)), encoder_tokenizer())


def _deberta(folder: Path, labels: int) -> str:
    torch.manual_seed(0)
    config = DebertaV2Config(**SMALL, num_labels=labels, pooler_hidden_size=16, type_vocab_size=2)
    return saved(folder, DebertaV2ForSequenceClassification(config), encoder_tokenizer())


@pytest.fixture(scope="session")
def tiny_deberta(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _deberta(tmp_path_factory.mktemp("deberta"), labels=1)


@pytest.fixture(scope="session")
def two_logits(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _deberta(tmp_path_factory.mktemp("deberta2"), labels=2)


@pytest.fixture(scope="session")
def three_logits(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _deberta(tmp_path_factory.mktemp("deberta3"), labels=3)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A decoder reward model with a chat template, whose padding token is its end token."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_token="</s>", eos_token="</s>")
    tokenizer.chat_template = CHAT
    model = LlamaForSequenceClassification(LlamaConfig(**SMALL, num_labels=1, pad_token_id=4, eos_token_id=4))
    return saved(tmp_path_factory.mktemp("llama"), model, tokenizer)


@pytest.fixture(scope="session")
def base_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A language model, which has no reward head."""
    model = LlamaForCausalLM(LlamaConfig(**SMALL, num_labels=1))
    return saved(tmp_path_factory.mktemp("base"), model, word_tokenizer(pad_token="[PAD]", eos_token="</s>"))


@pytest.fixture(scope="session")
def chat_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A language model with a chat template."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_token="[PAD]", eos_token="</s>")
    tokenizer.chat_template = CHAT
    return saved(
        tmp_path_factory.mktemp("chat"), LlamaForCausalLM(LlamaConfig(**SMALL, max_position_embeddings=512)), tokenizer
    )
