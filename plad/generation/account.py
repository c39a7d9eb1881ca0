"""Money: what tokens cost, what was spent, and a budget that no request may exceed."""

from __future__ import annotations

import asyncio

from pydantic import Field

from plad.generation.store import Usage
from plad.spec import Spec

MILLION = 1_000_000


class Price(Spec):
    """What a million tokens cost, in the currency that the budget is in."""

    input: float = Field(0.0, ge=0, description="a million tokens of prompts")
    output: float = Field(0.0, ge=0, description="a million tokens of answers")

    def of(self, usage: Usage) -> float:
        """What these tokens cost."""
        return (usage.prompt_tokens * self.input + usage.tokens * self.output) / MILLION


class OutOfBudgetError(Exception):
    """No further request fits into the budget."""


class Account:
    """Lets a request pass when its highest price still fits beside what is spent and what is under way.

    Args:
        spent: in the same currency, by earlier processes.
    """

    def __init__(self, price: Price, budget: float | None, spent: float):
        self.price, self.budget, self.spent = price, budget, spent
        self._under_way: list[float] = []
        self._settled = asyncio.Condition()

    async def reserve(self, most: Usage) -> float:
        """Set aside what a request costs at most; waits while requests under way may yet cost less than they might.

        Raises:
            OutOfBudgetError: it does not fit although nothing is under way.
        """
        cost = self.price.of(most)
        async with self._settled:
            while self.budget is not None and self.spent + sum(self._under_way) + cost > self.budget:
                if not self._under_way:
                    raise OutOfBudgetError
                await self._settled.wait()
            self._under_way.append(cost)
        return cost

    async def settle(self, reserved: float, actual: Usage) -> None:
        """Replace what was set aside by what it came to."""
        async with self._settled:
            self._under_way.remove(reserved)
            self.spent += self.price.of(actual)
            self._settled.notify_all()
