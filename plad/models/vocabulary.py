"""Whether two models share a vocabulary, which a comparison of their token distributions takes for granted."""

from __future__ import annotations

from typing import Any

from plad.errors import PladError
from plad.models.load import ScratchModel
from plad.models.prompts import find_end_id

REMEDY = "Choose a teacher of the student's family, or a method that learns from text, such as seqkd or plad."


def check_alike(teacher: Any, student: Any) -> None:
    """Refuse, before any work, two models of a recipe whose distributions cannot be compared.

    Raises:
        PladError: one has an encoder and the other has none, or their vocabularies differ.
    """
    if teacher.shape().encoder_decoder != student.shape().encoder_decoder:
        raise PladError(
            "token distributions are compared position by position, but one of teacher and student is an "
            f"encoder-decoder and the other is not. {REMEDY}"
        )
    made = [isinstance(model, ScratchModel) for model in (teacher, student)]
    if all(made):
        # Their tokenizers are trained on the same text, so that equal settings make them equal.
        wanted, found = ((model.tokens, model.vocabulary) for model in (teacher, student))
        if wanted != found:
            raise PladError(_differ(f"the teacher's is {wanted[1]} {wanted[0]}, the student's {found[1]} {found[0]}"))
    elif any(made):
        raise PladError(_differ("one of the models trains its tokenizer on the task, and the other brings its own"))
    else:
        check_same_tokens(teacher.tokenizer(()), student.tokenizer(()))


def check_same_tokens(teacher: Any, student: Any) -> None:
    """Refuse two tokenizers in which one id stands for two tokens; one of the vocabularies may go on further.

    Raises:
        PladError: with the first id that differs.
    """
    ours, theirs = ({i: token for token, i in tokenizer.get_vocab().items()} for tokenizer in (teacher, student))
    shared = min(max(ours), max(theirs)) + 1
    for i in range(shared):
        if ours.get(i) != theirs.get(i):
            raise PladError(
                _differ(f"token {i} is {ours.get(i)!r} to the teacher and {theirs.get(i)!r} to the student")
            )
    ends = [find_end_id(tokenizer) for tokenizer in (teacher, student)]
    if ends[0] != ends[1]:
        raise PladError(_differ(f"an answer ends with token {ends[0]} of the teacher and {ends[1]} of the student"))


def _differ(how: str) -> str:
    return f"token distributions can be compared over one vocabulary only, but {how}. {REMEDY}"
