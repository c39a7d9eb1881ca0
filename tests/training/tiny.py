"""Tiny models of many architectures with weights large enough to matter, and a tokenizer of letters."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
import transformers as hf
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import Tensor

from plad.training.layout import Example

V = 37
COMMON = {
    "vocab_size": V,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "initializer_range": 0.4,
}
HEADS = {**COMMON, "head_dim": 8}
OLD = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "initializer_range": 0.4}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
WINDOW = 5

MODELS: dict[str, Any] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**COMMON)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**COMMON)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**HEADS)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**COMMON, sliding_window=WINDOW)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(
        hf.Gemma2Config(
            **HEADS,
            query_pre_attn_scalar=8,
            sliding_window=WINDOW,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
            attn_implementation="eager",
        )
    ),
    "gemma3": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(
            **HEADS,
            query_pre_attn_scalar=8,
            sliding_window=WINDOW,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(**OLD, **NO_DROPOUT, n_embd=16, n_layer=2, n_head=2, n_positions=128)
    ),
    "gpt-neo": lambda: hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(
            **OLD,
            hidden_size=16,
            num_layers=2,
            num_heads=2,
            window_size=WINDOW,
            attention_types=[[["global", "local"], 1]],
            max_position_embeddings=128,
            attention_dropout=0.0,
            embed_dropout=0.0,
            resid_dropout=0.0,
        )
    ),
    "cohere": lambda: hf.CohereForCausalLM(hf.CohereConfig(**COMMON, logit_scale=0.25)),
    "bloom": lambda: hf.BloomForCausalLM(
        hf.BloomConfig(**OLD, hidden_size=16, n_layer=2, n_head=2, hidden_dropout=0.0, attention_dropout=0.0)
    ),
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(
            vocab_size=V,
            d_model=16,
            d_kv=8,
            d_ff=24,
            num_layers=2,
            num_heads=2,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
            initializer_factor=0.7,
        )
    ),
}


def make(name: str, seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name]().eval()


def make_examples(count: int, responses: int = 2, seed: int = 0, longest: int = 9) -> list[Example]:
    """Random ids, of odd lengths at first: one-token prompts and responses are among them."""
    draw = random.Random(seed)

    def ids(length: int) -> list[int]:
        return [draw.randrange(2, V) for _ in range(length)]

    prompts = [1, 17, 3, 2, 1, *(draw.randrange(1, 2 * longest) for _ in range(count))][:count]
    return [
        Example(ids(n), [[*ids(draw.choice([0, 1, 4, longest])), 1] for _ in range(responses)])  # 1 is the end token
        for n in prompts
    ]


def logits_alone(model: Any, example: Example, response: Sequence[int]) -> Tensor:
    """The model's own logits at the positions of one response, (T, V), on one unpadded sequence."""
    if model.config.is_encoder_decoder:
        decoder = torch.tensor([[model.config.decoder_start_token_id, *response[:-1]]])
        return model(input_ids=torch.tensor([list(example.prompt)]), decoder_input_ids=decoder).logits[0]
    whole = torch.tensor([[*example.prompt, *response]])
    return model(input_ids=whole, use_cache=False).logits[0, len(example.prompt) - 1 : -1]


def one_at_a_time(model: Any, example: Example) -> list[Tensor]:
    """Token log-probabilities of each response, one sequence at a time."""
    found = []
    for response in example.responses:
        logps = torch.log_softmax(logits_alone(model, example, response).float(), -1)
        found.append(torch.stack([logps[t, token] for t, token in enumerate(response)]))
    return found


def letters(**settings: Any) -> hf.PreTrainedTokenizerFast:
    """A tokenizer whose tokens are single letters, with `.` as the end token."""
    vocabulary = {token: n for n, token in enumerate(["<pad>", ".", "<unk>", *"abcdefghijklmnopqrstuvwxyz ?!0123"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    names = {"pad_token": "<pad>", "eos_token": ".", "unk_token": "<unk>"} | settings
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
