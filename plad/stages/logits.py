"""What the teacher says along text that is there before training, kept on disk."""

from __future__ import annotations

from typing import Any

from plad.losses import NegativeLogLikelihood
from plad.methods import Text
from plad.models.load import pad_id
from plad.models.vocabulary import check_same_tokens
from plad.runs import publish
from plad.stages.context import Context
from plad.stages.models import formatter_of, load_for_answers, load_tokenizer
from plad.stages.text import examples_of
from plad.training.stored import write_logits


def keep_logits(context: Context, text: Text) -> dict[str, Any]:
    """The teacher's distributions along a text that white-box methods learn from, for `distill.teacher_logits`."""
    settings = context.recipe.distill.teacher_logits
    assert settings is not None
    model, own, _ = load_for_answers(context, "teacher")
    tokenizer = load_tokenizer(context.run.path("models", "student"))
    check_same_tokens(own, tokenizer)
    formatter = formatter_of(context.recipe.prompt, tokenizer, model)
    examples = examples_of(context, text, formatter, NegativeLogLikelihood())
    folder, at_once = context.workspace / "logits", context.recipe.distill.device_tokens
    with context.display.bar(f"teacher along {text}", len(examples)) as advance:
        found = write_logits(model, pad_id(own), examples, folder, settings, at_once, lambda done: advance(done, {}))
    told = "all" if found["top_k"] is None else f"the {found['top_k']} likeliest"
    kept, least = (f"{100 * found[key]:.1f} %" for key in ("kept", "least_kept"))
    context.display.say(
        f"  {found['rows']:,} positions; {told} of {found['vocabulary']:,} tokens: {kept}, at least {least}"
    )
    publish(folder, context.run.path("logits", text))
    return found
