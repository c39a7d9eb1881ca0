"""Where models come from: random weights, folders, adapters; and the folders that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    PreTrainedModel,
    T5Config,
    ViTConfig,
    WhisperConfig,
)

from plad.errors import PladError
from plad.models import MODELS, Lora, PretrainedModel, ScratchModel
from plad.models.load import load_folder, model_class, pad_id, with_attention

TEXTS = ["The quick brown fox jumps over the lazy dog 1 2 3."] * 3
SMALL = {"vocabulary": 300, "width": 16, "layers": 2, "heads": 2, "context": 32}


def scratch(architecture: str = "llama", seed: int = 0, **changes: Any) -> tuple[Any, Any]:
    spec = ScratchModel(architecture=architecture, **(SMALL | changes))
    spec.check()
    tokenizer = spec.tokenizer(TEXTS)
    return spec.model(tokenizer, seed).eval(), tokenizer


def logits(model: Any) -> torch.Tensor:
    ids = torch.arange(5, 25).view(2, 10)
    decoder = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model.eval()(input_ids=ids, **decoder).logits


def save(folder: Path, architecture: str = "llama") -> Any:
    model, tokenizer = scratch(architecture)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_equal_seeds_give_equal_bytes_and_leave_the_global_generator_alone(architecture: str, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    (first, _), (other, _) = scratch(architecture), scratch(architecture, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(77)
    again, _ = scratch(architecture)
    for name, model in (("first", first), ("again", again), ("other", other)):
        model.save_pretrained(tmp_path / name)
    saved = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "again", "other")}
    assert saved["first"] == saved["again"] != saved["other"]


def test_the_scratch_tokenizer_depends_on_the_texts_alone_and_reads_everything() -> None:
    (_, first), (_, again) = scratch(), scratch(seed=1, width=32)
    assert first.get_vocab() == again.get_vocab()
    for text in ("The quick fox", "Grüße ☃ 漢字\n\t<|end|>", "12345"):
        ids = first(text, split_special_tokens=True)["input_ids"]
        assert first.decode(ids) == text
        assert first.eos_token_id not in ids
    assert len(first("12345")["input_ids"]) == 5, "digits one by one"
    assert (first.pad_token, first.eos_token) == ("<|pad|>", "<|end|>")


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_tied_weights_are_saved_once_and_tied_again(architecture: str, tmp_path: Path) -> None:
    model = save(tmp_path, architecture)
    loaded, tokenizer = load_folder(tmp_path)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert torch.equal(logits(loaded), logits(model))
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in model.parameters())
    rows = [name for name, value in load_file(tmp_path / "model.safetensors").items() if len(value) == len(tokenizer)]
    assert len(rows) == 1
    assert loaded.config.eos_token_id == tokenizer.eos_token_id
    if architecture == "t5":
        assert loaded.config.decoder_start_token_id == tokenizer.pad_token_id


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pretrained_reads_a_folder_in_its_dtype(dtype: str, tmp_path: Path) -> None:
    saved = save(tmp_path)
    spec = PretrainedModel(path=str(tmp_path), dtype=dtype)
    spec.check()
    model = spec.model(spec.tokenizer([]), seed=0)
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    expected = logits(saved)
    allowed = 0.1 * float(expected.abs().max()) if dtype == "bfloat16" else 0
    torch.testing.assert_close(logits(model).float(), expected, atol=allowed, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flex_attention"])
def test_attention_is_computed_as_asked(attention: str, tmp_path: Path) -> None:
    expected = logits(save(tmp_path))
    model = PretrainedModel(path=str(tmp_path), attention=attention).model(None, seed=0)
    assert model.config._attn_implementation == attention
    if attention != "flex_attention":  # without a mask of ours it compiles itself, for longer than a test takes
        torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-5)


def test_attention_that_an_architecture_lacks_is_refused() -> None:
    kinds = [[["global", "local"], 1]]
    model = GPTNeoForCausalLM(
        GPTNeoConfig(vocab_size=9, hidden_size=8, num_layers=2, num_heads=2, attention_types=kinds)
    )
    with pytest.raises(PladError, match="Leave attention null"):
        with_attention(model, "flex_attention")


@pytest.mark.parametrize("shape", [{"width": 20, "heads": 4}, {"width": 18, "heads": 2}])
def test_a_width_that_attention_cannot_divide_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(PladError, match="Try width") as caught:
        ScratchModel(**(SMALL | shape)).check()
    remedy = int(str(caught.value).split("Try width ")[1].rstrip("."))
    ScratchModel(**(SMALL | shape | {"width": remedy})).check()


def write_config(folder: Path, config: Any, architecture: str | None) -> str:
    folder.mkdir(exist_ok=True)
    config.architectures = [architecture] if architecture else None
    config.save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"these are no weights: reading them would fail")
    return str(folder)


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        (BertConfig(), None),
        (BertConfig(), "BertModel"),
        (BertConfig(), "BertForMaskedLM"),
        (LlamaConfig(), "LlamaModel"),  # an embedding model made of a causal one
        (LlamaConfig(), "LlamaForSequenceClassification"),  # a reward model
        (T5Config(), "T5EncoderModel"),
        (ViTConfig(), "ViTForImageClassification"),
        (WhisperConfig(), "WhisperForConditionalGeneration"),
    ],
)
def test_models_that_generate_no_text_are_refused_before_weights_are_read(
    config: Any, architecture: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", read)
    spec = PretrainedModel(path=write_config(tmp_path, config, architecture))
    for refused in (spec.check, lambda: spec.model(None, 0)):
        with pytest.raises(PladError, match=f"is a {config.model_type} model"):
            refused()


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        (LlamaConfig(), "LlamaForCausalLM"),
        (LlamaConfig(), None),
        (BertConfig(is_decoder=True), "BertLMHeadModel"),
        (T5Config(), "T5ForConditionalGeneration"),
    ],
)
def test_models_that_generate_text_pass(config: Any, architecture: str | None, tmp_path: Path) -> None:
    PretrainedModel(path=write_config(tmp_path, config, architecture)).check()


def test_code_from_a_hub_that_the_user_trusts_passes() -> None:
    class OwnConfig(LlamaConfig):
        model_type = "own"

    with pytest.raises(PladError, match="own model"):
        model_class(OwnConfig())
    assert model_class(OwnConfig(auto_map={"AutoModelForCausalLM": "m.Own"})).__name__ == "AutoModelForCausalLM"


def test_folders_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "config.json").write_text(json.dumps({"model_type": "no-such-architecture"}))
    for name, told in (
        ("missing", "is not there"),
        ("empty", "has no config.json"),
        ("broken", "be read as a model"),
        ("unknown", "be read as a model"),
    ):
        with pytest.raises(PladError, match=told):
            PretrainedModel(path=str(tmp_path / name)).check()


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    model = save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    spec = PretrainedModel(path=str(tmp_path))
    with pytest.raises(PladError, match=r"\.safetensors"):
        spec.check()
    with pytest.raises(PladError):
        spec.model(None, 0)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    scratch()[0].save_pretrained(tmp_path)
    with pytest.raises(PladError, match="tokenizer"):
        PretrainedModel(path=str(tmp_path)).tokenizer([])


def test_every_model_is_found_by_its_own_type() -> None:
    assert MODELS["scratch"]().type == "scratch"
    assert MODELS["pretrained"](path="x").type == "pretrained"


@pytest.mark.parametrize(("pad", "eos", "expected"), [(3, 2, 3), (0, 2, 0), (None, 2, 2), (None, None, 0)])
def test_any_padding_will_do(pad: int | None, eos: int | None, expected: int) -> None:
    assert pad_id(type("Tokenizer", (), {"pad_token_id": pad, "eos_token_id": eos})) == expected


def adapted(model: Any, origin: str, **settings: Any) -> Any:
    wrapped = Lora(r=2, **settings).wrap(model, origin).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    return wrapped


@pytest.mark.parametrize("architecture", ["llama", "t5"])
@pytest.mark.parametrize("relative", [True, False])
def test_an_adapter_comes_back_merged_into_its_base(architecture: str, relative: bool, tmp_path: Path) -> None:
    base = save(tmp_path / "student", architecture)
    before = logits(base)
    wrapped = adapted(base, "../student" if relative else str(tmp_path / "student"))
    expected = logits(wrapped)
    assert (expected - before).abs().max() > 0.1
    wrapped.save_pretrained(tmp_path / "plad")
    scratch(architecture)[1].save_pretrained(tmp_path / "plad")
    if relative:  # a run can be moved
        moved = tmp_path / "moved"
        moved.mkdir()
        for name in ("student", "plad"):
            (tmp_path / name).rename(moved / name)
    model, tokenizer = load_folder((moved if relative else tmp_path) / "plad")
    torch.testing.assert_close(logits(model), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
    assert not hasattr(model, "peft_config") or "lora" not in "".join(model.state_dict())
    assert tokenizer.eos_token == "<|end|>"


def test_an_adapter_without_its_base_says_so(tmp_path: Path) -> None:
    adapted(scratch()[0], "../gone").save_pretrained(tmp_path / "plad")
    scratch()[1].save_pretrained(tmp_path / "plad")
    with pytest.raises(PladError, match=r"needs its base model: .*\.\./gone is not there"):
        load_folder(tmp_path / "plad")


def test_the_papers_adapter() -> None:
    wrapped = Lora().wrap(scratch(width=32)[0], "nowhere")
    config = wrapped.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 32, 0.1)
    trained = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, p in wrapped.named_parameters() if p.requires_grad}
    assert trained == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("names", [("q_prj",), ("q_proj", "v_prj")])  # peft itself would let the second pass
def test_a_misspelt_layer_is_named_with_the_nearest(names: tuple[str, ...]) -> None:
    with pytest.raises(PladError, match=rf"'{names[-1]}' .*Did you mean '{names[-1][0]}_proj'"):
        Lora(target_modules=names).wrap(scratch()[0], "nowhere")


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(PladError, match=r"lora\.target_modules"):
        Lora(target_modules="no_such_layer").wrap(scratch()[0], "nowhere")


def test_named_layers_and_no_others() -> None:
    wrapped = Lora(target_modules=("q_proj", "v_proj")).wrap(scratch()[0], "nowhere")
    trained = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, p in wrapped.named_parameters() if p.requires_grad}
    assert trained == {"q_proj", "v_proj"}
