"""Any source of examples as a Ray Data source: made by tasks on other cores, streamed in order to the worker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa
import ray
from ray.data import DataContext
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from .arrays import digest, from_bytes, lanes, to_bytes
from .settings import WorkerSettings
from .stream import Made, Shard
from .task import Source

BLOCK = 32  # examples of one task: some tenths of a second of work, so that Ray's own share of it is small
AHEAD = 2  # blocks that wait, made, for the worker
SCHEMA = pa.schema(
    [("number", pa.int64()), ("example", pa.large_binary()), ("digest", pa.binary(32)), ("seconds", pa.float64())]
)


def make(source: Source, seed: int, numbers: list[int]) -> Iterable[pa.Table]:
    """Yield one block: examples as bytes of safetensors, and the processor seconds that each took."""
    rows = []
    for number in numbers:
        start = time.process_time()
        example = source.example(seed, number)
        row = {"number": number, "example": to_bytes(example), "digest": digest(example)}
        rows.append({**row, "seconds": time.process_time() - start})
    yield pa.Table.from_pylist(rows, schema=SCHEMA)


class ExampleSource(Datasource):
    """The examples with these numbers, ``BLOCK`` of them a task."""

    def __init__(self, source: Source, seed: int, numbers: list[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._source, self._seed, self._numbers = source, seed, numbers

    @property
    def blocks(self) -> int:
        """How many tasks there are."""
        return -(-len(self._numbers) // BLOCK)

    def estimate_inmemory_data_size(self) -> int | None:
        """Return None: it is not known before they are made."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """Return a task per block, whatever the parallelism: blocks are what bounds memory."""
        made = []
        for start in range(0, len(self._numbers), BLOCK):
            numbers = self._numbers[start : start + BLOCK]
            told = BlockMetadata(num_rows=len(numbers), size_bytes=None, input_files=None, exec_stats=None)
            made.append(ReadTask(partial(make, self._source, self._seed, numbers), told, schema=SCHEMA))
        return made


def streamed(workers: WorkerSettings, source: Source, seed: int, shard: Shard) -> Iterator[Made]:
    """Yield the examples of the shard in order, made by ``workers.sources`` tasks at a time."""
    numbers = shard.numbers()
    if not numbers:
        return
    made = ExampleSource(source, seed, numbers)
    data = ray.data.read_datasource(
        made, override_num_blocks=made.blocks, concurrency=workers.sources,
        ray_remote_args={"num_cpus": workers.source_cpus},
    )  # fmt: skip
    data.context.execution_options.preserve_order = True
    data.context.enable_progress_bars = False
    for block in data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=AHEAD):
        columns = (block.column(name) for name in ("example", "digest", "seconds"))
        for example, digest_of, seconds in zip(*columns, strict=True):
            # One at a time: a block is some 70 MB, and a copy of all of it would be another.
            made = from_bytes(source.kind, example.as_py())
            yield Made(made, lanes(digest_of.as_py()), seconds.as_py())
