"""
Reads capture sets with Ray Data: a file is a unit of reading, then all packets between some hosts, then a block.

A task walks through one file and divides its packets by hosts. What belongs to a part is put together in the files'
order (fragments, flows, byte streams, messages), and the messages of a block come together again, so that keys of
batches are those of a reading in one process.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import Dataset
from ray.data.expressions import col

from ..cluster.dead_letters import DeadLetter
from ..cluster.inputs import InputFile, local_copy
from ..discovery.batch import MessageBatch, arrow_stream
from ..discovery.capture_set import (
    ROWS,
    Asked,
    Block,
    Decided,
    FileFacts,
    FileReader,
    joined,
    messages_in,
    open_file,
)
from ..discovery.captured import DiscoveredProtocol
from ..discovery.captures.packed import Packed
from ..discovery.confirmation import Confirmation, Confirmer
from ..discovery.errors import InputError, QbitelError
from ..discovery.orchestrator import ProtocolDiscoveryOrchestrator
from ..discovery.settings import DiscoverySettings
from ..discovery.spec import ProtocolSpec
from ..discovery.stages import Clock, Progress
from ..discovery.statistics import MessageStatistics
from .ray_progress import hearing
from .reading import Head, Report, Told, packets_of

PART_BYTES = 64 << 20
"""Bytes of the files that one part has about; what two hosts say to each other is never divided."""
TASK_CPUS = 0.5

_FACTS, _DEAD, _ROWS = -1, -2, -3  # in place of a part's number
_BLOCKS = pa.schema(
    [("place", pa.int64()), ("protocol", pa.string()), ("messages", pa.int64()), ("body", pa.large_binary())]
)  # fmt: skip


def quiet() -> None:
    """Let Ray Data draw no bars: there is one for the whole of a command."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


class RayReading:
    """
    A capture set read by the Ray that this process is connected to; its workers must reach the files.

    Args:
        part_bytes: of the files, for each part.

    Raises:
        InputError: there are no messages. NotFoundError: there is no protocol of the name that was asked for.
    """

    def __init__(
        self, files: Sequence[InputFile], asked: Asked, report: Report, told: Told | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:  # fmt: skip
        self._asked, self._files = asked, files
        quiet()
        self._parts = max(1, -(-sum(file.size for file in files) // part_bytes))
        rows = [{"file": number, "uri": file.uri, "size": file.size} for number, file in enumerate(files)]
        parts = self._parts
        with hearing(told) as heard:
            found = ray.data.from_items(rows, override_num_blocks=len(rows)).flat_map(
                lambda row: _read(row, asked, parts, heard), num_cpus=TASK_CPUS
            )
            self._found: Dataset = found.materialize()
        self.report = report
        self._take_facts()
        self._decided, self.known = self._head().decide(files, report)

    def blocks(self, protocol: str) -> Iterator[Block]:
        """Yield the messages of a protocol, each block whole."""
        one = self.messages(protocol)
        if protocol != ROWS:  # blocks of rows were read whole
            groups = one.groupby("place", num_partitions=self._parts)
            one = groups.map_groups(_join, batch_format="pyarrow", num_cpus=TASK_CPUS)
        for row in one.iter_rows():
            yield Block(protocol, row["place"] >> 32, row["place"] & 0xFFFFFFFF, _batch(row["body"]))

    def discover(
        self, protocol: str, orchestrator: ProtocolDiscoveryOrchestrator, progress: Progress, clock: Clock
    ) -> DiscoveredProtocol:
        """Find the specification of a protocol: tasks count its messages, and confirm what is proposed on them."""
        tables = self.messages(protocol).materialize().to_arrow_refs()
        captures = {file: facts.sha256[:16] for file, facts in self.report.facts.items()}
        statistics = MessageStatistics(orchestrator.settings)
        for part in _answers([_counted.remote(table, captures, orchestrator.settings) for table in tables]):
            statistics = statistics.merge(MessageStatistics.from_bytes(part))
        if statistics.empty:
            raise InputError("no messages in it", where=protocol)

        def confirm(spec: ProtocolSpec) -> Confirmation:
            document, total = spec.to_bytes(), Confirmer(spec, orchestrator.settings).empty()
            for each in _answers([_confirmed.remote(t, captures, document, orchestrator.settings) for t in tables]):
                total = total.merge(each)
            return total

        known = self.known[protocol]
        result = orchestrator.conclude(known, statistics, confirm, progress=progress, clock=clock)
        return DiscoveredProtocol(result, MessageBatch.from_view(result.statistics.sample().view))

    def messages(self, protocol: str) -> Dataset:
        """Return rows of messages: ``place`` (file and block), ``protocol``, ``messages`` (how many), ``body``."""
        decided, parts = self._decided, self._parts
        if protocol == ROWS:
            rows = self._found.filter(expr=col("part") == _ROWS)
            return rows.map_batches(_as_blocks, batch_format="pyarrow", batch_size=None, num_cpus=TASK_CPUS)
        return self._found.groupby("part", num_partitions=parts).map_groups(
            lambda group: _put_together(group, decided, protocol), batch_format="pyarrow", num_cpus=TASK_CPUS
        )

    def _take_facts(self) -> None:
        """Take what tasks said of their files."""
        for row in self._found.filter(expr=col("part").is_in([_FACTS, _DEAD])).iter_rows():
            if row["part"] == _DEAD:
                self.report.dead.append(DeadLetter(self._files[row["file"]].uri, row["body"].decode()))
            else:
                facts = json.loads(row["body"])
                self.report.facts[row["file"]] = FileFacts(**{**facts, "warnings": tuple(facts["warnings"])})
        self.report.dead.sort(key=lambda letter: letter.uri)

    def _head(self) -> Head:
        """Read the first packets of the set, in this process."""
        head = Head(self._asked)
        for number, facts in sorted(self.report.facts.items()):
            if head.full:
                break
            file = self._files[number]
            if not facts.transport:
                with local_copy(file) as path:
                    _add_to(head, open_file(file.uri, str(path), number, self._asked.limits))
        return head


def _add_to(head: Head, reader: FileReader) -> None:
    pieces = packets_of(reader, head)
    while not head.full and next(pieces, None) is not None:
        pass  # the head keeps it


def _read(row: dict[str, Any], asked: Asked, parts: int, heard: Any) -> Iterator[dict[str, Any]]:
    """Yield the packets of a file by part, or the blocks of its rows; then what there is to say of it."""
    file, number = InputFile(row["uri"], row["size"]), row["file"]
    tell = (lambda share: heard.add.remote(number, int(share * file.size))) if heard else (lambda share: None)
    try:
        with local_copy(file) as path:
            reader = open_file(file.uri, str(path), number, asked.limits)
            if reader.of_packets:
                for piece, packed in enumerate(reader.packets()):
                    for part, some in packed.divided(parts).items():
                        yield _found(part, number, piece, some.to_bytes())
                    tell(reader.done)
            else:
                reader.survey(asked.port)
                for block in reader.rows(asked.port) if asked.only in (None, ROWS) else ():
                    yield _found(_ROWS, number, block.number, bytes(arrow_stream(block.batch.table)))
            yield _found(_FACTS, number, 0, json.dumps(asdict(reader.facts)).encode())
    except QbitelError as error:
        yield _found(_DEAD, number, 0, str(error).encode())
    tell(1.0)


def _found(part: int, file: int, piece: int, body: bytes) -> dict[str, Any]:
    return {"part": part, "file": file, "piece": piece, "body": body}


def _put_together(group: pa.Table, decided: Decided, protocol: str) -> pa.Table:
    """
    Return the messages of all packets between some hosts, by block of a file; none for what is told of files.

    All rows of the reading come here: Ray's shuffle fails on blocks that a filter has emptied.
    """
    blocks: list[Block] = []
    if group.column("part")[0].as_py() >= 0:
        rows = sorted(group.to_pylist(), key=lambda row: (row["file"], row["piece"]))
        packed = Packed.concatenate([Packed.from_bytes(row["body"]) for row in rows])
        blocks = [block for block in messages_in(packed, decided) if block.protocol == protocol]
    return pa.Table.from_pylist([_row(block) for block in blocks], _BLOCKS)


def _as_blocks(rows: pa.Table) -> pa.Table:
    """Return blocks of rows that are messages as they were found."""
    places = [(row["file"] << 32) | row["piece"] for row in rows.select(["file", "piece"]).to_pylist()]
    counts = [pa.ipc.open_stream(body.as_buffer()).read_all().num_rows for body in rows.column("body")]
    bodies = rows.column("body").cast(pa.large_binary())
    return pa.table([places, [ROWS] * len(places), counts, bodies], schema=_BLOCKS)


def _join(group: pa.Table) -> pa.Table:
    """Return one row for all rows of a block."""
    place, protocol = group.column("place")[0].as_py(), group.column("protocol")[0].as_py()
    batch = joined([_batch(body.as_py()) for body in group.column("body")])
    return pa.Table.from_pylist([_row(Block(protocol, place >> 32, place & 0xFFFFFFFF, batch))], _BLOCKS)


def _row(block: Block) -> dict[str, Any]:
    place, table = (block.file << 32) | block.number, block.batch.table
    return {"place": place, "protocol": block.protocol, "messages": table.num_rows, "body": bytes(arrow_stream(table))}


def _batch(body: bytes) -> MessageBatch:
    return MessageBatch(pa.ipc.open_stream(body).read_all())


@ray.remote(num_cpus=TASK_CPUS)
def _counted(table: pa.Table, captures: dict[int, str], settings: DiscoverySettings) -> bytes:
    """Return the statistics of rows of messages."""
    statistics = MessageStatistics(settings)
    for capture, batch in _captured(table, captures):
        statistics.update(batch, capture)
    return statistics.to_bytes()


@ray.remote(num_cpus=TASK_CPUS)
def _confirmed(table: pa.Table, captures: dict[int, str], document: bytes, settings: DiscoverySettings) -> Confirmation:
    """Return what rows of messages say of a specification."""
    confirmer = Confirmer(ProtocolSpec.model_validate_json(document), settings)
    total = confirmer.empty()
    for capture, batch in _captured(table, captures):
        total = total.merge(confirmer.confirm(batch.view(), (capture,)))
    return total


def _captured(table: pa.Table, captures: dict[int, str]) -> Iterator[tuple[str, MessageBatch]]:
    for row in table.to_pylist() if table.num_rows else ():
        yield captures[row["place"] >> 32], _batch(row["body"])


def _answers(asked: list[Any]) -> Iterator[Any]:
    """Yield answers of tasks as they come; their order does not matter to what is merged."""
    while asked:
        ready, asked = ray.wait(asked)
        yield from ray.get(ready)
