"""Tokenizers of the families that models have, trained here on a few lines."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and sums it up: Summary of the day.",
    "Question: why is the sky blue?\nAnswer: because of the light that it scatters.",
    "human user assistant system says what is said, to and fro, 0 1 2 3 4 5 6 7 8 9",
] * 3

CHATML = (
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML that writes a beginning token of its own, as many templates do."""


def byte_level(**names: Any) -> PreTrainedTokenizerFast:
    """As GPT-2, Qwen and SmolLM have it: no token is added to a text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    settings = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"} | names
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **settings)


def chatml() -> PreTrainedTokenizerFast:
    """A byte-level one that also adds a beginning token to a text, and a template that writes it again."""
    tokenizer = byte_level(
        bos_token="<|endoftext|>", additional_special_tokens=["<|im_start|>", "<|im_end|>"], chat_template=CHATML
    )
    return with_processor(tokenizer, "<|endoftext|> $A")


def unigram(single: str, **names: Any) -> PreTrainedTokenizerFast:
    """SentencePiece's way: a word begins with ▁, one is put before the text, and a template adds tokens to it."""
    model = Tokenizer(models.Unigram())
    model.normalizer = normalizers.NFKC()
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<s>", "<unk>"]
    model.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    settings = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"} | names
    return with_processor(PreTrainedTokenizerFast(tokenizer_object=model, **settings), single)


def llama_like() -> PreTrainedTokenizerFast:
    """Adds a beginning token."""
    return unigram("<s> $A")


def llama_like_with_end() -> PreTrainedTokenizerFast:
    """Adds a beginning and an end token, as some exports do."""
    return unigram("<s> $A </s>")


def t5_like() -> PreTrainedTokenizerFast:
    """Adds an end token."""
    return unigram("$A </s>")


def word_piece() -> PreTrainedTokenizerFast:
    """BERT's way: lower case, [CLS] and [SEP]; here [SEP] ends a text."""
    model = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    model.normalizer = normalizers.BertNormalizer()
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    model.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
    )
    return with_processor(tokenizer, "[CLS] $A [SEP]")


def with_processor(tokenizer: PreTrainedTokenizerFast, single: str) -> PreTrainedTokenizerFast:
    names = [word for word in single.split() if word != "$A"]
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(name, tokenizer.convert_tokens_to_ids(name)) for name in names]
    )
    return tokenizer


FAMILIES = {
    "byte-level": byte_level,
    "chatml": chatml,
    "llama": llama_like,
    "llama with end": llama_like_with_end,
    "t5": t5_like,
    "wordpiece": word_piece,
}
