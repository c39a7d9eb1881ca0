from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from plad.errors import PladError
from plad.records import Prompt
from plad.scoring import RewardModel

PROMPTS = [
    Prompt(id=str(row), prompt=text) for row, text in enumerate(["the cat", "a list of numbers", "the dog", "x"])
]
RESPONSES = ["sat .", "returns it", "ran ran ran the dog sat", "the"]


def alone(folder: str, ids: list[int], types: list[int] | None = None) -> torch.Tensor:
    """Logits of one sequence, without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    extra = {} if types is None else {"token_type_ids": torch.tensor([types])}
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), **extra).logits[0]


def pair_ids(folder: str, prompt: str, response: str) -> tuple[list[int], list[int]]:
    """[CLS] prompt [SEP] response [SEP], by hand."""
    words = AutoTokenizer.from_pretrained(folder)
    first, second = (words(text, add_special_tokens=False)["input_ids"] for text in (prompt, response))
    return [2, *first, 3, *second, 3], [0] * (len(first) + 2) + [1] * (len(second) + 1)


def test_an_encoder_reads_a_pair_and_padding_changes_nothing(tiny_deberta: str) -> None:
    done: list[int] = []
    scores = RewardModel(model=tiny_deberta, batch_size=3).score(PROMPTS, RESPONSES, done.append)
    expected = [
        float(alone(tiny_deberta, *pair_ids(tiny_deberta, prompt.text, response))[0])
        for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
    ]
    assert scores == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 1e-2
    assert sum(done) == 4


def test_two_logits_are_good_minus_bad(two_logits: str) -> None:
    bad, good = alone(two_logits, *pair_ids(two_logits, "the cat", "sat .")).tolist()
    assert RewardModel(model=two_logits).score(PROMPTS[:1], RESPONSES[:1]) == pytest.approx([good - bad], abs=1e-4)


def test_a_decoder_gets_the_conversation_and_is_read_at_its_end_token(tiny_llama: str) -> None:
    """The end token counts although it is the padding token too, in a batch as alone."""
    scores = RewardModel(model=tiny_llama, batch_size=4).score(PROMPTS, RESPONSES)
    words = AutoTokenizer.from_pretrained(tiny_llama)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_llama).eval()
    for prompt, response, score in zip(PROMPTS, RESPONSES, scores, strict=True):
        text = f"<user> {prompt.text} </s> <bot> {response} </s>"
        with torch.no_grad():
            hidden = model.model(**words(text, return_tensors="pt")).last_hidden_state[0, -1]
        assert score == pytest.approx((model.score.weight[0] @ hidden).item(), abs=1e-4)


def test_special_tokens_in_an_answer_are_text(tiny_llama: str) -> None:
    """An answer can't end itself and begin a turn of the user's. This vocabulary leaves such words out."""
    scorer = RewardModel(model=tiny_llama)
    posing = "sat </s> the dog"
    assert scorer.score(PROMPTS[:1], [posing]) == scorer.score(PROMPTS[:1], ["sat the dog"])
    assert scorer.score(PROMPTS[:1], ["sat"]) != scorer.score(PROMPTS[:1], ["sat the dog"])


def test_a_conversation_goes_through_the_template_as_it_is(tiny_llama: str) -> None:
    turns = tuple(
        {"role": role, "content": text} for role, text in [("user", "a"), ("assistant", "it"), ("user", "the cat")]
    )
    [score] = RewardModel(model=tiny_llama).score([Prompt(id="1", prompt=turns)], ["sat"])
    words = AutoTokenizer.from_pretrained(tiny_llama)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_llama).eval()
    text = "<user> a </s> <bot> it </s> <user> the cat </s> <bot> sat </s>"
    with torch.no_grad():
        hidden = model.model(**words(text, return_tensors="pt")).last_hidden_state[0, -1]
    assert score == pytest.approx((model.score.weight[0] @ hidden).item(), abs=1e-4)


def test_what_is_too_long_loses_the_start_of_the_prompt(tiny_llama: str) -> None:
    prompts = [Prompt(id=str(row), prompt=first + " dog" * 12) for row, first in enumerate(["cat", "list"])]
    cut = RewardModel(model=tiny_llama, max_tokens=8).score(prompts, ["sat", "sat"])
    whole = RewardModel(model=tiny_llama).score(prompts, ["sat", "sat"])
    assert cut[0] == pytest.approx(cut[1], abs=1e-5)
    assert whole[0] != pytest.approx(whole[1], abs=1e-5)


def test_of_a_pair_the_prompt_is_cut_and_not_the_longer_response(tiny_deberta: str) -> None:
    """[CLS] prompt [SEP] response [SEP] in 10 tokens: five words of response leave room for two of prompt."""
    response = "ran ran ran the dog"
    cut = RewardModel(model=tiny_deberta, max_tokens=10).score([Prompt("1", "cat list a the")], [response])
    expected = alone(tiny_deberta, *pair_ids(tiny_deberta, "a the", response))
    assert cut == pytest.approx([float(expected[0])], abs=1e-4)
    # A response that fills the room alone loses its own start.
    long = RewardModel(model=tiny_deberta, max_tokens=8).score([Prompt("1", "a")], ["sat sat the dog ran ran a"])
    expected = alone(tiny_deberta, *pair_ids(tiny_deberta, "a", "dog ran ran a"))
    assert long == pytest.approx([float(expected[0])], abs=1e-4)


def test_an_empty_response_scores_by_rule(tiny_deberta: str) -> None:
    scorer = RewardModel(model=tiny_deberta, empty_score=-7)
    scores = scorer.score(PROMPTS[:3], ["", "sat", " \n"])
    assert scores[0] == scores[2] == -7
    assert scores[1] == scorer.score(PROMPTS[1:2], ["sat"])[0]


def test_a_model_without_a_reward_head_is_refused(base_llama: str, three_logits: str) -> None:
    with pytest.raises(PladError, match=r"lacks score\.weight"):
        RewardModel(model=base_llama).score(PROMPTS, RESPONSES)
    with pytest.raises(PladError, match=r"1 or 2 logits, but .* has 3"):
        RewardModel(model=three_logits).score(PROMPTS, RESPONSES)
