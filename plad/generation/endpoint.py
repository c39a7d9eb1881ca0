"""Many requests to one server at once, none too many, each made again until it is answered or hopeless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from plad import interrupt
from plad.errors import PladError
from plad.generation.account import Account, OutOfBudgetError
from plad.generation.base import Sampling, draw_seed
from plad.generation.pacing import Gate, Pace, backoff
from plad.generation.replies import Reply
from plad.generation.requests import HopelessError, Job, Requests, TroubleError, most, usage_of
from plad.generation.store import Usage
from plad.records import Generation

if TYPE_CHECKING:
    from plad.generation.openai import OpenAI

Worker = asyncio.Task[None]


class Endpoint:
    """A server with its limits, for one call of `ask`.

    Args:
        lost: told of requests that may have been charged for although their answer never came.
    """

    def __init__(self, spec: OpenAI, account: Account, lost: Callable[[Usage], None] | None = None):
        self.limits, self.account, self.lost, self.server = spec.limits, account, lost, Requests(spec)
        self.requests, self.tokens = Pace(self.limits.requests_per_minute), Pace(self.limits.tokens_per_minute)
        self.gate, self.failed, self.one_at_a_time = Gate(), 0, False
        self.ready: asyncio.Queue[Generation | None] = asyncio.Queue()
        self.asking: set[asyncio.Task[None] | None] = set()
        self.stopping = False

    async def ask(self, jobs: Sequence[Job], sampling: Sampling, seed: int) -> AsyncIterator[Generation]:
        """Yield the answers as they arrive. On Ctrl-C nothing more is asked, and what was asked is waited for.

        Raises:
            PladError: the server refuses us, too many prompts were set aside, or the budget is used up.
        """
        todo = iter(jobs)

        async def work() -> None:
            # One iterator for all workers: each takes the next job that nobody has begun.
            for job in todo:
                if interrupt.asked():
                    return
                await self._job(job, sampling, seed)

        workers = [asyncio.create_task(work()) for _ in range(min(self.limits.concurrency, len(jobs)))]
        end = asyncio.create_task(self._end(workers))
        try:
            while (generation := await self.ready.get()) is not None:
                yield generation
            self._raise(workers)
        finally:
            for task in (*workers, end):
                task.cancel()
            await asyncio.gather(*workers, end, return_exceptions=True)
            await self.server.close()

    async def _end(self, workers: Sequence[Worker]) -> None:
        """Mark the end of the stream. Where one worker meets what ends the run, requests under way are waited for:
        they are paid for.
        """
        going = set(workers)
        while going:
            done, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            if any(_error(worker) is not None for worker in done if not _out_of_budget(worker)):
                self.stopping = True
                for worker in going - self.asking:
                    worker.cancel()
        self.ready.put_nowait(None)

    def _raise(self, workers: Sequence[Worker]) -> None:
        """Raise what stopped the workers; a budget last, since another's error says more."""
        stopped = [error for worker in workers if (error := _error(worker)) and not _out_of_budget(worker)]
        if stopped:
            raise stopped[0]
        if any(map(_out_of_budget, workers)):
            raise PladError(
                f"requests may cost {self.account.budget:g} in all (budget), and {self.account.spent:.4g} is spent, "
                "which leaves no room for the next one. What is answered is kept. Raise the budget and run the same "
                "command again: it continues."
            )

    async def _job(self, job: Job, sampling: Sampling, seed: int) -> None:
        """Ask until every sample is there, or the server has failed too often."""
        missing, attempts, waited = list(job.samples), 0, 0.0
        while missing and not self.stopping and not interrupt.asked():
            try:
                reply = await self._request(job, missing, sampling, seed)
            except HopelessError as error:
                if len(missing) == 1 or self.one_at_a_time:
                    return self._set_aside(job, missing, str(error))
                self.one_at_a_time = True  # some servers refuse n > 1
            except TroubleError as trouble:
                attempts += not trouble.busy
                wait = backoff(max(1, attempts), self.limits.shortest_wait) if trouble.wait is None else trouble.wait
                waited += wait if trouble.busy else 0.0
                if attempts > self.limits.retries or waited > self.limits.patience:
                    return self._set_aside(job, missing, str(trouble))
                if trouble.wait is not None:
                    self.gate.shut(wait)
                else:
                    await asyncio.sleep(wait)
            else:
                self._deliver(job, missing, reply)
                # A server that ignores n gives fewer than were asked for: ask again for the rest.
                missing = missing[len(reply.choices) :]
        return None

    async def _request(self, job: Job, missing: Sequence[int], sampling: Sampling, seed: int) -> Reply:
        """One request, within all limits and the budget."""
        count = 1 if self.one_at_a_time else len(missing)
        highest = most(job.rendered, count, sampling)
        guess = len(job.rendered) // 4 + highest.tokens
        reserved, actual = await self.account.reserve(highest), Usage()
        worker = asyncio.current_task()
        try:
            await self.requests.take()
            await self.tokens.take(guess)
            await self.gate.passed()
            self.asking.add(worker)
            reply = await self.server.send(job.rendered, count, sampling, draw_seed(seed, job.rendered, missing[0]))
            actual = usage_of(job.rendered, reply)
            self.tokens.correct(actual.prompt_tokens + actual.tokens - guess)
            return reply
        except TroubleError as trouble:
            if trouble.billed:
                actual = highest
                if self.lost is not None:
                    self.lost(highest)
            raise
        finally:
            self.asking.discard(worker)
            await self.account.settle(reserved, actual)

    def _deliver(self, job: Job, missing: Sequence[int], reply: Reply) -> None:
        """Hand over the answers; the tokens that the server counted over all of them are divided among them."""
        usage, some = usage_of(job.rendered, reply), list(zip(missing, reply.choices, strict=False))
        share, rest = divmod(usage.tokens, len(some))
        for n, (sample, choice) in enumerate(some):
            generation = Generation(
                job.id,
                self.server.clean(choice.text),
                choice.finished,
                tokens=share + (n < rest),
                sample=sample,
                prompt_tokens=0 if n else usage.prompt_tokens,
                refusal=self.server.clean(choice.refusal) if choice.refusal else None,
            )
            self.ready.put_nowait(generation)

    def _set_aside(self, job: Job, missing: Sequence[int], reason: str) -> None:
        self.failed += 1
        for sample in missing:
            self.ready.put_nowait(Generation(job.id, "", finished=False, sample=sample, failure=reason))
        if self.failed > self.limits.max_failed:
            raise PladError(
                f"at most {self.limits.max_failed} prompts may be set aside (limits.max_failed), but "
                f"{self.failed} were, the last because: {reason}. Mend that or raise the limit, and run the same "
                "command again: what is answered is kept."
            )


def _error(worker: Worker) -> BaseException | None:
    return worker.exception() if worker.done() and not worker.cancelled() else None


def _out_of_budget(worker: Worker) -> bool:
    return isinstance(_error(worker), OutOfBudgetError)
