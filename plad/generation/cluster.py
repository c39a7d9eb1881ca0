"""Work on many machines by Ray Data: rows go to workers that set up once, and a worker that dies is replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from plad.errors import PladError
from plad.spec import Spec

Row = dict[str, Any]


class Cluster(Spec):
    """Which workers there are. What they read must be under the same path on every machine."""

    workers: int = Field(1, ge=1, description="copies of the model")
    cpus: float = Field(1.0, gt=0, description="of each worker; Ray Data itself needs spare ones")
    gpus: float = Field(0.0, ge=0, description="of each worker")
    address: str | None = Field(None, description="a cluster's; null starts Ray on this machine")

    def connect(self, place: str) -> None:
        """Join the cluster, or start one here; a second call changes nothing.

        Args:
            place: the setting that asks for it.

        Raises:
            PladError: Ray isn't installed.
        """
        try:
            import ray
        except ImportError:
            raise PladError(f"{place} of type ray needs Ray. Run: pip install 'plad[ray]'") from None
        ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)

    def mapped(self, worker: Any, settings: tuple[Any, ...], rows: Sequence[Row]) -> Iterator[Row]:
        """What the workers make of each row, as they finish them. The row of a worker that dies goes to another.

        Args:
            worker: a class that is made with `settings` once in each process, and called with a row.
        """
        import ray

        answered = ray.data.from_items(list(rows), override_num_blocks=len(rows)).map(
            worker,
            fn_constructor_args=settings,
            concurrency=self.workers,
            num_cpus=self.cpus,
            num_gpus=self.gpus,
        )
        yield from answered.iter_rows()
