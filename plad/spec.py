"""The base of everything a recipe can name: the object is its own configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen, validated object built from keyword arguments or from a recipe's mapping.

    A variant (a loss, a source, a scorer …) subclasses it, declares `type: Literal["name"] = "name"` and its
    settings as fields, and does its work in a method. Unknown keys are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
