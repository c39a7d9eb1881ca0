"""The base of everything a recipe can name: the object is its own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Tag


class Spec(BaseModel):
    """A frozen, validated object built from keyword arguments or from a recipe's mapping.

    A variant (a loss, a source, a scorer …) subclasses it, declares `type: Literal["name"] = "name"` and its
    settings as fields, and does its work in a method. Unknown keys are refused, and so are infinite numbers and NaN.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


def variant(table: Mapping[str, Any], default: str | None = None) -> Any:
    """The type of a field whose `type:` names an entry of `table`; a mapping without one is a `default`."""

    def name(value: Any) -> Any:
        return value.get("type", default) if isinstance(value, Mapping) else getattr(value, "type", None)

    union: Any = reduce(or_, (Annotated[kind, Tag(tag)] for tag, kind in table.items()))
    return Annotated[union, Discriminator(name)]
