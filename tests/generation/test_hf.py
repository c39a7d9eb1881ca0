"""Sampling against a hand-written loop without a cache, and what must not change an answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, MistralConfig, MistralForCausalLM

from plad.generation import GENERATORS, HFGenerator, Sampling
from plad.models import PromptFormat, ScratchModel
from plad.models.prompts import Formatter
from plad.records import Prompt

TEXTS = [
    "the quick brown fox",
    "sees a dog",
    "and it",
    "was",
    "a good day for the dog and the fox",
    "x",
    "oh no",
    "why?",
]
PROMPTS = [Prompt(f"p{n}", text) for n, text in enumerate(TEXTS)]
GREEDY = Sampling(temperature=0, max_new_tokens=12)
DRAWN = Sampling(temperature=1.5, max_new_tokens=12)


def make(architecture: str, end_bias: float = 0.0) -> tuple[Any, Formatter]:
    """A model whose weights are large enough for answers that differ."""
    spec = ScratchModel(architecture=architecture, vocabulary=300, width=16, layers=2, heads=2)
    tokenizer = spec.tokenizer(TEXTS)
    model = spec.model(tokenizer, seed=1).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name and "shared" not in name:
                parameter.mul_(10 if architecture == "llama" else 2)
    model.generation_config = GenerationConfig()
    if end_bias:
        head, end = model.get_output_embeddings(), tokenizer.eos_token_id
        bias = torch.zeros(head.weight.shape[0])
        bias[end] = end_bias
        head.register_forward_hook(lambda _m, _i, logits: logits + bias)
    return model, PromptFormat().bind(tokenizer, architecture == "t5")


def answers(made: tuple[Any, Formatter], sampling: Sampling, seed: int = 0, batch: int = 3, done: Any = ()) -> Any:
    found = list(HFGenerator(*made, batch_size=batch).generate(PROMPTS, sampling, seed, done))
    return {generation.id: generation for generation in found}


def argmax_loop(model: Any, formatter: Formatter, prompt: str, limit: int) -> list[int]:
    """One prompt, no padding, no cache, the whole sequence anew for each token."""
    ids, new = formatter.prompt_ids(prompt), []
    while len(new) < limit and formatter.end_id not in new:
        with torch.no_grad():
            if model.config.is_encoder_decoder:
                start = [model.config.decoder_start_token_id]
                output = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([start + new]))
            else:
                output = model(input_ids=torch.tensor([ids + new]), use_cache=False)
        new.append(int(output.logits[0, -1].argmax()))
    return new


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_greedy_is_argmax_and_each_row_stops_at_its_own_end(architecture: str) -> None:
    model, formatter = make(architecture, end_bias=-1e9)
    free = [argmax_loop(model, formatter, text, 12) for text in TEXTS]
    assert len(set(map(tuple, free))) > 3
    # The token that these rows come to at the most different steps, as the end token.
    ends = {token: {row.index(token) for row in free if token in row} for token in sorted(set().union(*free))}
    formatter.end_id = max(ends, key=lambda token: len(ends[token]))
    found = answers((model, formatter), GREEDY, batch=8)
    for prompt in PROMPTS:
        new = argmax_loop(model, formatter, prompt.text, 12)
        text, finished = formatter.decode(new)
        got = found[prompt.id]
        assert (got.response, got.finished, got.tokens) == (text, finished, len(new))
    assert len({generation.tokens for generation in found.values()}) > 1, "rows of one batch end at different steps"


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_equal_seeds_give_equal_answers_and_others_do_not(architecture: str) -> None:
    made = make(architecture)
    torch.manual_seed(1)
    first = answers(made, DRAWN, seed=3)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again, other = answers(made, DRAWN, seed=3), answers(made, DRAWN, seed=4)
    assert first == again
    assert sum(first[k].response != other[k].response for k in first) > 4
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "the caller's generator is left where it was"


def test_samples_differ_and_prompts_that_look_alike_do_not() -> None:
    model, formatter = make("llama")
    several = DRAWN.model_copy(update={"samples": 4})
    twins = [Prompt("a", "the dog"), Prompt("b", "the dog")]
    found = list(HFGenerator(model, formatter, batch_size=3).generate(twins, several, seed=0))
    by_place = {(generation.id, generation.sample): generation.response for generation in found}
    assert len(found) == len(by_place) == 8
    assert len({by_place["a", sample] for sample in range(4)}) == 4
    assert all(by_place["a", sample] == by_place["b", sample] for sample in range(4))
    [alone] = HFGenerator(model, formatter).generate(twins[:1], DRAWN, seed=0)
    assert alone.response == by_place["a", 0], "how many samples are wanted changes none of them"


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_an_answer_does_not_depend_on_its_batch(architecture: str, sampling: Sampling) -> None:
    made = make(architecture)
    alone = answers(made, sampling, batch=1)
    assert answers(made, sampling, batch=3) == alone
    assert answers(made, sampling, batch=8) == alone


def test_rows_that_ended_leave_the_batch() -> None:
    model, formatter = make("llama", end_bias=4)
    fed: list[int] = []
    model.register_forward_pre_hook(lambda _m, _a, kwargs: fed.append(len(kwargs["input_ids"])), with_kwargs=True)
    found = answers((model, formatter), DRAWN, batch=8)
    lengths = [generation.tokens for generation in found.values()]
    assert len(set(lengths)) > 2
    assert fed == [sum(length > step for length in lengths) for step in range(max(lengths))]


def test_a_batch_is_within_its_tokens() -> None:
    model, formatter = make("llama")
    widths = {prompt.id: len(formatter.prompt_ids(prompt.prompt)) for prompt in PROMPTS}
    generator = HFGenerator(model, formatter, batch_size=5, batch_tokens=64)
    batches = list(generator._batches(PROMPTS, GREEDY))
    assert sorted(row.prompt.id for batch in batches for row in batch) == sorted(widths)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * (max(widths[row.prompt.id] for row in batch) + 12) <= 64
    assert max(map(len, batches)) <= 5
    assert len({len(batch) for batch in batches[:-1]}) > 1


@pytest.mark.parametrize("count", [1, 3, 5])
def test_resuming_gives_what_an_undisturbed_run_gives(count: int) -> None:
    made = make("llama")
    whole = answers(made, DRAWN, seed=5)
    done = dict(list(whole.items())[:count])
    rest = answers(made, DRAWN, seed=5, done=[(name, 0) for name in done])
    assert done | rest == whole
    assert len(rest) == 8 - 3 * (count // 3), "whole batches are left out"


def test_nothing_is_left_to_do() -> None:
    made = make("llama")
    made[0].generate = None
    assert answers(made, DRAWN, done={(prompt.id, 0) for prompt in PROMPTS}) == {}


def test_the_order_of_the_prompts_does_not_matter() -> None:
    model, formatter = made = make("llama")
    backwards = HFGenerator(model, formatter, batch_size=3).generate(PROMPTS[::-1], DRAWN, 0)
    assert {generation.id: generation for generation in backwards} == answers(made, DRAWN)


def test_a_generation_is_yielded_as_soon_as_its_batch_is_ready() -> None:
    model, formatter = make("llama")
    calls, generate = [], model.generate
    model.generate = lambda **kwargs: calls.append(1) or generate(**kwargs)
    stream = HFGenerator(model, formatter, batch_size=3).generate(PROMPTS, GREEDY, 0)
    next(stream)
    assert len(calls) == 1


def test_the_limit_counts_and_the_cut_are_told() -> None:
    for generation in answers(make("llama", end_bias=-1e9), DRAWN).values():
        assert (generation.tokens, generation.finished) == (12, False)
    for generation in answers(make("llama", end_bias=1e9), DRAWN).values():
        assert (generation.tokens, generation.finished, generation.response) == (1, True, "")


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_the_models_own_generation_config_changes_nothing(architecture: str) -> None:
    made = make(architecture)
    expected = {sampling: answers(made, sampling) for sampling in (GREEDY, DRAWN)}
    hostile = GenerationConfig(
        repetition_penalty=5.0,
        no_repeat_ngram_size=1,
        bad_words_ids=[[5]],
        suppress_tokens=list(range(50, 200)),
        min_new_tokens=12,
        forced_eos_token_id=7,
        top_k=1,
        top_p=0.01,
        min_p=0.9,
        typical_p=0.1,
        temperature=0.01,
        num_beams=2,
        eos_token_id=9,
        max_length=3,
    )
    made[0].generation_config = hostile
    for sampling, wanted in expected.items():
        assert answers(made, sampling) == wanted
    assert made[0].generation_config is hostile, "the model keeps its own"


def settings_of(sampling: Sampling) -> GenerationConfig:
    seen: dict[str, Any] = {}
    model, formatter = make("llama")
    generate = model.generate
    model.generate = lambda **kwargs: seen.update(kwargs) or generate(**kwargs)
    list(HFGenerator(model, formatter).generate(PROMPTS[:1], sampling, 0))
    return seen["generation_config"]


def test_settings_are_passed_on() -> None:
    drawn = settings_of(Sampling(temperature=0.3, top_p=0.8, top_k=17, max_new_tokens=4))
    assert (drawn.do_sample, drawn.temperature, drawn.top_p, drawn.top_k) == (True, 0.3, 0.8, 17)
    assert drawn.max_new_tokens == 4
    greedy = settings_of(Sampling(temperature=0, top_p=0.8, top_k=17))
    assert (greedy.do_sample, greedy.temperature, greedy.top_p) == (False, None, None)


def first_tokens(sampling: Sampling) -> tuple[Counter[str], list[float]]:
    """1,500 first tokens for one prompt, and the model's own distribution over them, likeliest first."""
    model, formatter = make("llama")
    drawn: list[int] = []
    generate = model.generate

    def spy(custom_generate: Any, **kwargs: Any) -> None:
        generate(custom_generate=custom_generate, **kwargs)
        drawn.extend(ids[0] for ids in custom_generate.new_ids)

    model.generate = spy
    several = sampling.model_copy(update={"samples": 1500})
    list(HFGenerator(model, formatter, batch_size=500).generate([Prompt("x", "the dog")], several, 0))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([formatter.prompt_ids("the dog")])).logits[0, -1]
    order = logits.argsort(descending=True)
    rank = {int(token): place for place, token in enumerate(order)}
    return Counter(rank[token] for token in drawn), (logits / sampling.temperature).softmax(-1)[order].tolist()


def test_draws_follow_the_model_at_its_temperature() -> None:
    counts, probabilities = first_tokens(Sampling(temperature=2.0, max_new_tokens=1))
    assert sum(probabilities[:3]) < 0.9
    for place in range(5):
        expected = 1500 * probabilities[place]
        assert abs(counts[place] - expected) < 5 * (expected * (1 - probabilities[place])) ** 0.5 + 1


def test_top_k_and_top_p_cut_the_tail() -> None:
    assert set(first_tokens(Sampling(temperature=3.0, top_k=3, max_new_tokens=1))[0]) == {0, 1, 2}
    counts, probabilities = first_tokens(Sampling(temperature=3.0, top_p=0.3, max_new_tokens=1))
    kept = next(k for k in range(1, 300) if sum(probabilities[:k]) >= 0.3)
    assert set(counts) == set(range(kept))
    assert 1 < kept < 100


def test_a_batch_of_mixed_lengths_is_padded_where_the_model_wants_it() -> None:
    for architecture, side in (("llama", slice(None, 2)), ("t5", slice(-2, None))):
        model, formatter = make(architecture)
        padded = HFGenerator(model, formatter)._padded([[5, 6, 7], [8]], head=0)
        assert padded["attention_mask"][1, side].tolist() == [0, 0]
        assert padded["attention_mask"].sum() == 4
    padded = HFGenerator(*make("llama"))._padded([[5, 6, 7], [5, 8]], head=1)
    assert padded["input_ids"][:, [0, 2]].tolist() == [[5, 7], [5, 8]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 1]]


def tokens_read(model: Any) -> list[tuple[int, int]]:
    """Rows and tokens of every call of the model from now on."""
    fed: list[tuple[int, int]] = []
    model.register_forward_pre_hook(lambda _m, _a, given: fed.append(tuple(given["input_ids"].shape)), with_kwargs=True)
    return fed


def test_what_all_prompts_begin_with_is_read_once_a_batch() -> None:
    model, formatter = make("llama", end_bias=-1e9)
    formatter.spec = formatter.spec.model_copy(update={"template": "the dog and the fox {prompt}"})
    ids = [formatter.prompt_ids(text) for text in TEXTS]
    head = next(n for n in range(99) if len({row[n] for row in ids}) > 1)
    assert head >= 4
    expected = [formatter.decode(argmax_loop(model, formatter, text, 12))[0] for text in TEXTS]
    fed = tokens_read(model)
    found = answers((model, formatter), GREEDY, batch=8)
    assert fed[:3] == [(1, head), (8, max(map(len, ids)) - head), (8, 1)]
    assert [found[prompt.id].response for prompt in PROMPTS] == expected


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_samples_of_a_prompt_read_it_together(architecture: str) -> None:
    model, formatter = make(architecture, end_bias=-1e9)
    several = DRAWN.model_copy(update={"samples": 3})
    apart = list(HFGenerator(model, formatter, batch_size=1).generate(PROMPTS[:2], several, 0))
    fed = tokens_read(model.encoder if architecture == "t5" else model)
    together = list(HFGenerator(model, formatter, batch_size=6).generate(PROMPTS[:2], several, 0))
    assert fed[0][0] == 2
    assert together == apart


def test_a_window_along_the_row_is_not_torn_apart() -> None:
    _, formatter = make("llama")
    formatter.spec = formatter.spec.model_copy(update={"template": "the dog and the fox {prompt}"})
    torch.manual_seed(0)
    size = {"vocab_size": len(formatter.tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    for window, shares in ((5, False), (64, True)):
        model = MistralForCausalLM(MistralConfig(**size, **heads, sliding_window=window, initializer_range=0.5)).eval()
        expected = [formatter.decode(argmax_loop(model, formatter, text, 12))[0] for text in TEXTS]
        fed = tokens_read(model)
        found = answers((model, formatter), GREEDY, batch=8)
        assert (fed[0][0] == 1) is shares
        assert [found[prompt.id].response for prompt in PROMPTS] == expected
        assert len(set(expected)) > 3


def test_every_generator_is_found_by_name() -> None:
    for name, kind in GENERATORS.items():
        assert kind.model_fields["type"].default == name
