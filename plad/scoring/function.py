"""A Python function as a scorer, named by its import path."""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from plad.errors import PladError, nearest
from plad.records import Prompt
from plad.scoring.base import Progress, advance, check_aligned
from plad.spec import Spec


class Function(Spec):
    """`package.module:function`, called as `function(prompts, responses, **options)`; it returns a score a response.

    `prompts` are `plad.Prompt` objects with `.text` and `.reference`. The working folder is searched as well as what is
    installed. The function must be deterministic; an empty response is its own business.
    """

    type: Literal["function"] = "function"
    path: str = Field(description="package.module:function")
    options: Mapping[str, Any] = Field({}, description="handed to the function by keyword")

    @field_validator("path")
    @classmethod
    def _is_an_import_path(cls, path: str) -> str:
        module, colon, name = path.partition(":")
        if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            raise ValueError("must be package.module:function")
        return path

    @property
    def description(self) -> str:
        """One line for the report: the function's own first line."""
        told = (inspect.getdoc(self._function) or "a Python function").splitlines()[0]
        return f"{self.path}: {told}"

    @property
    def identity(self) -> str:
        """The settings, and the text of the module that holds the function."""
        source = inspect.getsourcefile(self._function)
        text = Path(source).read_bytes() if source else b""
        return f"function {self.model_dump_json()} {hashlib.sha256(text).hexdigest()}"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """What the function says of each response.

        Raises:
            PladError: there is no such function, or it does not give one finite number a response.
        """
        check_aligned(prompts, responses)
        said = list(self._function(list(prompts), list(responses), **self.options))
        if len(said) != len(responses):
            raise PladError(
                f"{self.path} must give a score for each of {len(responses)} responses, but gave {len(said)}."
            )
        advance(progress, len(responses))
        return [self._finite(value) for value in said]

    def _finite(self, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise PladError(f"{self.path} must give finite numbers, but gave {value!r}. Mend the function.")
        return number

    @cached_property
    def _function(self) -> Callable[..., Any]:
        module_name, _, name = self.path.partition(":")
        try:
            with _working_folder_on_path():
                module = import_module(module_name)
        except ImportError as error:
            raise PladError(
                f"{self.path}: the module does not import: {error}. Install it, or run where it can be found."
            ) from None
        function = getattr(module, name, None)
        if not callable(function):
            raise PladError(f"{module_name} has no function {name!r}.{nearest(name, list(vars(module)))}")
        return function


@contextmanager
def _working_folder_on_path() -> Any:
    # The `plad` command, other than `python -m plad`, does not search the folder it is run in.
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
