"""Tokenizers for models trained from scratch, learnt from a task's own text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PAD, END, UNKNOWN = "<|pad|>", "<|end|>", "<|unk|>"


def train_bytes(texts: Iterable[str], vocabulary: int, context: int) -> Any:
    """Byte-level BPE: any text survives a round trip."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return _wrap(bpe, context)


def train_words(texts: Iterable[str], vocabulary: int, context: int) -> Any:
    """Lower-cased word pieces (arXiv 1609.08144), with identifiers cut at case and underscores.

    `getValue`, `get_value` and `Get value` come to be the same two tokens, so that a tiny model has no three
    spellings to learn. Case, underscores, backquotes and the spaces round punctuation do not survive a round trip.

    Args:
        texts: gone through twice, so no iterator.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    pieces = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    pieces.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex("(?<=[a-z0-9])(?=[A-Z])"), " "),
            normalizers.Replace(Regex("[_`]+"), " "),
            normalizers.Lowercase(),
        ]
    )
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    pieces.decoder = decoders.WordPiece(cleanup=True)
    # Of equally frequent pairs the trainer joins the one with the lower ids first, and it numbers the letters within
    # words in the order of a hash map, which differs from one training to the next: so they are numbered here.
    first = [PAD, END, UNKNOWN, *_letters_within_words(pieces, texts)]
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=first, show_progress=False)
    learner = Tokenizer(pieces.model)
    learner.normalizer, learner.pre_tokenizer = pieces.normalizer, pieces.pre_tokenizer
    learner.train_from_iterator(texts, trainer)
    pieces.model = models.WordPiece(_numbered(learner.get_vocab()), unk_token=UNKNOWN)
    pieces.add_special_tokens([PAD, END, UNKNOWN])
    return _wrap(pieces, context, unk_token=UNKNOWN)


def _letters_within_words(pieces: Any, texts: Iterable[str]) -> list[str]:
    """What stands elsewhere than at the beginning of a word, as pieces that go on, in order."""
    normal = (pieces.normalizer.normalize_str(text) for text in texts)
    words = {word for text in normal for word, _ in pieces.pre_tokenizer.pre_tokenize_str(text)}
    return sorted({f"##{letter}" for word in words for letter in word[1:]})


def _numbered(pieces: Iterable[str]) -> dict[str, int]:
    """Pieces with ids in an order of their own: the trainer gives them another with every process."""
    special = [PAD, END, UNKNOWN]
    return {piece: number for number, piece in enumerate([*special, *sorted(set(pieces) - set(special))])}


def _wrap(tokenizer: Any, context: int, **special: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, model_max_length=context, **special
    )
