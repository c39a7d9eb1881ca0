"""The likelihood engine: log q(y_t | x, y_<t) for the responses of a batch, and nothing else.

Logits are computed at the positions that predict a response token only, in chunks, so that memory grows neither with
the prompt nor with vocabulary × batch. Log-probabilities are fp32 whatever the model's dtype.

Shape legend: B examples, R responses, T response tokens, N rows, L row length, S response tokens of the batch,
D model width, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plad.errors import PladError
from plad.losses.sequence import Sequences
from plad.training.attention import attention_mask
from plad.training.head import Predictions, Stored, in_chunks
from plad.training.layout import Batch, DecoderLayout, EncoderDecoderLayout, Example

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teacher:
    """A second model that the student is compared with, token by token. It gets no gradient and never trains.

    Args:
        model: a model of the student's kind and vocabulary; its dropout is off. None where batches hold what it said.
        divergence: of fp32 logits over the tokens both have, student's (S, V) and teacher's (S, V), and the number of
            the response that each position belongs to (S,): one number a position, (S,).
    """

    model: nn.Module | None
    divergence: Callable[[Tensor, Tensor, Tensor], Tensor]


def sequences(model: nn.Module, batch: Batch, teacher: Teacher | None = None) -> Sequences:
    """Score every response of a batch that one of the layouts made, and compare with a teacher where there is one.

    With a teacher, log-probabilities are over the tokens that both have: one vocabulary may be padded further.

    Args:
        model: a causal or encoder-decoder language model of transformers, with or without LoRA.
    """
    values = _values(model, batch, teacher)
    B, R = batch["lengths"].shape
    T = int(batch["lengths"].max())

    def placed(value_S: Tensor | None) -> Tensor | None:
        if value_S is None:
            return None
        return value_S.new_zeros(B * R * T).index_put((batch["slot"],), value_S).view(B, R, T)

    return Sequences(
        token_logps_BRT=placed(values[0]),  # type: ignore[arg-type]  # the student's are always there
        lengths_BR=batch["lengths"],
        scores_BR=batch.get("scores"),
        reference_logps_BR=batch.get("reference_logps"),
        teacher_logps_BRT=placed(values[1]) if teacher else None,
        divergence_BRT=placed(values[2]) if teacher else None,
        sampling_logps_BRT=placed(batch.get("sampling_logps")),
        advantages_BRT=placed(batch.get("advantages")),
        weights_BR=batch.get("weights"),
    )


def choose_layout(model: Any, pad_id: int, teacher: Any = None) -> DecoderLayout | EncoderDecoderLayout:
    """The fastest layout that is exact for a model, and for its teacher where it has one.

    Raises:
        PladError: one reads the prompt with an encoder and the other does not, or their decoders begin differently.
    """
    layout = _layout_of(model, pad_id)
    if teacher is None or layout == (other := _layout_of(teacher, pad_id)):
        return layout
    if isinstance(layout, DecoderLayout) and isinstance(other, DecoderLayout):
        return DecoderLayout(pad_id, share_prefix=False)
    raise PladError(
        "token distributions are compared position by position, which needs two models of one kind, but the student "
        f"is a {model.config.model_type} and the teacher a {teacher.config.model_type}. "
        "Use a method that learns from text, such as seqkd or plad."
    )


def _layout_of(model: Any, pad_id: int) -> DecoderLayout | EncoderDecoderLayout:
    """By a check of its numbers on two small examples.

    Architectures whose attention ignores position ids or the mask they are given get the plain layout, and one log
    line says so. GPT-Neo's local layers count distance along the row, which a short check would not notice.
    """
    if model.config.is_encoder_decoder:
        return EncoderDecoderLayout(pad_id, int(model.config.decoder_start_token_id))
    error, allowed = _sharing_error(model, pad_id)
    if error <= allowed and "local" not in getattr(model.config, "attention_layers", ()):
        return DecoderLayout(pad_id)
    logger.warning(
        "Prompts are not shared between responses: %s gives other log-probabilities that way (by %.2g nats).",
        type(base_model(model)).__name__,
        error,
    )
    return DecoderLayout(pad_id, share_prefix=False, head_apart=_head_error(model, pad_id) <= allowed)


def within(wrapped: nn.Module, module: nn.Module, function: Callable[[nn.Module], Any]) -> Any:
    """Run `function(module)` as if it were the forward of `wrapped`, so that DDP's and FSDP's hooks see the pass.

    Args:
        wrapped: `module` itself, or what accelerate wrapped around it.
    """
    own = module.__dict__.get("forward")

    def restore() -> None:
        if own is None:
            module.__dict__.pop("forward", None)
        else:
            module.__dict__["forward"] = own

    def once(*_: Any, **__: Any) -> Any:
        restore()
        return function(module)

    module.__dict__["forward"] = once
    try:
        return wrapped()
    finally:
        restore()


def base_model(model: Any) -> Any:
    """The transformers model under LoRA, or the model itself; LoRA's layers stay in it either way."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _values(model: nn.Module, batch: Batch, teacher: Teacher | None) -> tuple[Tensor, ...]:
    """log q(y_t) and, with a teacher, log p(y_t) and the divergence, (S,) each; a chunk of positions at a time."""
    student, target_S = predictions(model, batch), batch["target"]
    if teacher is None:
        return (student.token_logps(target_S),)
    with torch.no_grad():
        expert = _stored(batch) if teacher.model is None else predictions(teacher.model, batch)

    def compared(state: Tensor, target: Tensor, response: Tensor, *expert_states: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            expert_logits = expert.logits(*expert_states)
        logits = student.logits(state)
        both = min(logits.shape[-1], expert_logits.shape[-1])
        logits, expert_logits = logits[:, :both], expert_logits[:, :both]
        logps = (_log_softmax_at(one, target) for one in (logits, expert_logits))
        return (*logps, teacher.divergence(logits, expert_logits, response))

    inputs = (student.state_SD, target_S, batch["response"], *expert.states)
    return in_chunks(compared, inputs, student.vocabulary + expert.vocabulary)


def _stored(batch: Batch) -> Stored:
    if "teacher_values" not in batch:
        raise PladError(
            "a loss that compares with a teacher needs the teacher, or examples with its distributions, but these have "
            "none. Give teacher=MODEL."
        )
    parts = (batch.get(f"teacher_{name}") for name in ("ids", "rest"))
    return Stored(batch["teacher_values"], int(batch["teacher_vocabulary"]), *parts)


def predictions(model: nn.Module, batch: Batch) -> Predictions:
    """What a model says at the positions that predict a response token of the batch."""
    if "encoder_row" in batch:
        return _whole(_encoder_decoder_logits(model, batch), batch)
    if "branch" in batch:
        mask = attention_mask(base_model(model), batch["example"], batch["branch"], batch["position_ids"])
        return _by_states(model, batch, attention_mask=mask, position_ids=batch["position_ids"])
    if "head_apart" in batch:
        return _by_states(model, batch, attention_mask=batch["attention_mask"])
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    return _whole(logits, batch)


def _by_states(model: nn.Module, batch: Batch, **inputs: Any) -> Predictions:
    causal_lm = base_model(model)
    hidden_NLD = causal_lm.base_model(input_ids=batch["input_ids"], use_cache=False, **inputs).last_hidden_state
    return Predictions(
        hidden_NLD[batch["predict_row"], batch["predict_col"]],
        causal_lm.config.get_text_config().vocab_size,
        causal_lm.get_output_embeddings(),
        getattr(causal_lm.config, "final_logit_softcapping", None),
    )


def _encoder_decoder_logits(model: nn.Module, batch: Batch) -> Tensor:
    seq2seq = base_model(model)
    encoded = seq2seq.get_encoder()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    row = batch["encoder_row"]
    encoded.last_hidden_state = encoded.last_hidden_state[row]
    logits: Tensor = seq2seq(
        encoder_outputs=encoded,
        attention_mask=batch["attention_mask"][row],
        decoder_input_ids=batch["decoder_input_ids"],
        use_cache=False,
    ).logits
    return logits


def _whole(logits_NLV: Tensor, batch: Batch) -> Predictions:
    return Predictions(logits_NLV[batch["predict_row"], batch["predict_col"]], logits_NLV.shape[-1])


def _log_softmax_at(logits_SV: Tensor, target_S: Tensor) -> Tensor:
    chosen_S = logits_SV.gather(-1, target_S[:, None]).squeeze(-1)
    return chosen_S - logits_SV.logsumexp(-1)


def _sharing_error(model: Any, pad_id: int) -> tuple[float, float]:
    """How far the shared layout is from the plain one, and how far it may be, in nats.

    Allowed is a tenth of what a deliberately leaky mask does, since in a freshly initialised model even a wrong mask
    moves a log-probability by little, and twice what the plain layout differs by when examples stand alone: rounding,
    which in bf16 grows with depth.
    """
    examples = _trial_examples(model)
    shared, plain = (DecoderLayout(pad_id, share_prefix=share)(examples) for share in (True, False))
    leaky = shared | {"branch": torch.zeros_like(shared["branch"]), "example": torch.zeros_like(shared["example"])}
    alone = [DecoderLayout(pad_id, share_prefix=False)([example]) for example in examples]
    found = _trial(model, plain, shared, leaky, *alone)
    if found is None:
        return float("inf"), 0.0
    truth, ours, wrong, *single = found
    effect = _furthest(wrong, truth)
    rounding = max(_furthest(one[0], beside) for one, beside in zip(single, truth, strict=True))
    return _furthest(ours, truth), 0.1 * effect + 2 * rounding


def _furthest(some: Tensor, others: Tensor) -> float:
    """The largest difference between log-probabilities; those of more tokens have zeros behind."""
    T = min(some.shape[-1], others.shape[-1])
    return float((some[..., :T] - others[..., :T]).abs().max())


def _head_error(model: Any, pad_id: int) -> float:
    """How far the head, applied by us to states of the plain layout, is from the model's own logits, in nats."""
    layouts = (DecoderLayout(pad_id, share_prefix=False, head_apart=apart) for apart in (False, True))
    found = _trial(model, *(layout(_trial_examples(model)) for layout in layouts))
    return _furthest(*found) if found else float("inf")


def _trial_examples(model: Any) -> list[Example]:
    V = base_model(model).config.get_text_config().vocab_size
    ids = [int(i) % V for i in torch.arange(1, 24) * 7919]
    return [Example(ids[:9], [ids[9:14], ids[14:16]]), Example(ids[3:7], [ids[16:17], ids[17:23]])]


@torch.no_grad()
def _trial(model: Any, *batches: Batch) -> list[Tensor] | None:
    """Token log-probabilities of each batch, without dropout; None where the model cannot take one of them."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    try:
        moved = ({key: value.to(device) for key, value in batch.items()} for batch in batches)
        return [sequences(model, batch).token_logps_BRT for batch in moved]
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        logger.debug("the layout failed: %s", error)
        return None
    finally:
        model.train(was_training)
