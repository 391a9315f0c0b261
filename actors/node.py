"""A node: the virtual shards of one stream in this process, their journal in a storage and a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ..cluster.buckets import Span
from ..cluster.database import OutcomeUnknownError
from ..cluster.entries import NEVER, BatchKey, KnownBatch, is_key
from ..cluster.manifest import Manifest, Stream
from ..cluster.privacy import StreamPrivacy
from ..cluster.redirects import Redirect
from ..cluster.segment import batch_digest, encode_record, record_of
from ..cluster.storage import Storage
from ..discovery.batch import MessageBatch
from ..discovery.errors import InputError
from ..discovery.settings import DiscoverySettings
from ..discovery.statistics import MessageStatistics
from . import effects as do
from . import events as on
from .effects import Effect, Refusal, Removed
from .events import Event
from .hands import Body, Hands
from .limits import ShardLimits
from .routing import divide
from .shard import Phase, Shard
from .tally import Tally

_WRITERS = 4  # threads that wait for the disk


@dataclass
class Receipt:
    """
    What became of a batch.

    Attributes:
        left: virtual shards that have not answered. refused: why one of them did not take its part.
        again: parts that were in the journal before. fresh: parts that were offered.
    """

    key: str
    left: set[int] = field(default_factory=set)
    refused: Refusal | None = None
    again: int = 0
    fresh: int = 0

    @property
    def acknowledged(self) -> bool:
        """Whether all of the batch is in the journal, once."""
        return not self.left and self.refused is None


class Node:
    """
    Holds virtual shards of a stream, takes batches for them, and answers with their statistics.

    Nothing is acknowledged before ``flush`` returns. One thread uses it.

    Args:
        memory: bytes that statistics may take, and one more while it is counted. Those that will not be counted soon
            are packed; large ones, and those beyond a half of it, on the disk (in the folder of temporary files). A
            quarter of it may wait to be registered; a batch beyond that is refused with "busy", unless none waits.

    Attributes:
        reports: what people must know: damaged objects of the journal.
    """

    def __init__(
        self, storage: Storage, manifest: Manifest, stream: Stream, owner: str, *,
        shards: Iterable[int] | None = None, limits: ShardLimits | None = None, memory: int = 1 << 30,
    ) -> None:  # fmt: skip
        self.stream, self._manifest, self._owner = stream, manifest, owner
        self._privacy = StreamPrivacy.of(stream.privacy)
        self.settings = DiscoverySettings.model_validate(stream.settings)
        self._storage, self._limits = storage, limits or ShardLimits()
        self._memory = memory
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="segments")
        self._requests: list[tuple[Receipt, int]] = []
        self._redirects: tuple[Redirect, ...] = ()
        self._erased: dict[int, Removed | str] = {}
        self.reports: list[str] = []
        self._shards: dict[int, Shard] = {}
        self._hands: dict[int, Hands] = {}
        self._queue: list[tuple[int, Effect]] = []
        self.hold(range(stream.shards) if shards is None else shards)
        self._check_held()

    def append(self, batch: MessageBatch, key: str, *, made: int = NEVER, capture: str = "") -> Receipt:
        """
        Take a batch; ``flush`` makes it durable.

        Args:
            key: names the batch; the same messages under the same key are counted once.
            made: when the sender chose the key, milliseconds since 1970; ``NEVER`` for keys that are kept for ever.
            capture: hexadecimal SHA-256 of the capture they come from, 16 digits or more, or empty.

        Raises:
            InputError: the key is none (``is_key``).
        """
        if not is_key(key):
            raise InputError("a key has 1 to 256 printable characters", where=self.stream.name)
        known = self._known(key)
        redirects = self._redirects_of(known)
        named = BatchKey(key, made, batch_digest(batch, capture), 0, len(redirects))
        parts = divide(batch, self.stream.shards, self.settings.seed, redirects) if len(batch) else {}
        receipt = self._begin(named, known, parts, batch.table.nbytes)
        for shard in sorted(receipt.left) if receipt.refused is None else ():
            batch_key = replace(named, messages=len(parts[shard]))
            record = record_of(parts[shard], batch_key, capture, self._privacy, self.stream.settings)
            self._offer(receipt, shard, Body(record, encode_record(record)))
        self._work()  # full segments are written now, and what is refused is refused now
        return receipt

    def append_parts(self, parts: Mapping[int, Body]) -> Receipt:
        """Take what some virtual shards have of one batch; ``commit`` makes it durable."""
        key = next(iter(parts.values())).record.key
        receipt = self._begin(key, self._known(key.key), parts, sum(len(body.encoded) for body in parts.values()))
        for shard in sorted(receipt.left) if receipt.refused is None else ():
            self._offer(receipt, shard, parts[shard])
        self._work()
        return receipt

    def flush(self) -> None:
        """
        Write and register what waits, and answer for it.

        Raises:
            InputError: another process has taken a shard over; what it refused was not acknowledged.
        """
        self.commit()
        self._check_held()

    def commit(self) -> None:
        """Write and register what waits, and answer for it; a shard that another has taken over refuses."""
        for shard in self._shards:
            self._tell(shard, on.Flush())
        self._work()

    @property
    def held(self) -> set[int]:
        """The virtual shards that take batches."""
        return {shard for shard, machine in self._shards.items() if machine.phase is Phase.OPEN}

    def hold(self, shards: Iterable[int], *before: Event) -> None:
        """
        Take virtual shards over, whoever holds them; ``held`` says of which this came true.

        Args:
            before: what they are told first.
        """
        for shard in shards:
            self._shards[shard] = Shard(self._limits.of(shard, self.stream.shards))
            self._hands[shard] = Hands(
                self._storage, self._manifest, self.stream.name, shard, self._owner, Tally(self.settings), self._told,
                self.reports.append, self._erased.__setitem__,
            )  # fmt: skip
            for event in (*before, on.Start()):
                self._tell(shard, event)
        self._work()

    def release(self, shards: Iterable[int]) -> None:
        """Finish what waits on virtual shards, take their snapshots, give them back, and forget them."""
        there = [shard for shard in shards if shard in self._shards]
        for shard in there:
            self._tell(shard, on.Drain())
        self._work()
        self.drop(set(there))

    def drop_lost(self) -> None:
        """Forget the virtual shards that another has taken over."""
        self.drop({shard for shard, machine in self._shards.items() if machine.phase is Phase.STOPPED})

    def drop(self, shards: set[int]) -> None:
        """Forget virtual shards without giving them back; nothing of theirs may wait."""
        for shard in shards:
            del self._shards[shard], self._hands[shard]

    def limit(self, memory: int) -> None:
        """Let the statistics take so many bytes."""
        self._memory = memory
        self._fit()

    @property
    def memory(self) -> int:
        """Bytes of memory that statistics take now."""
        return sum(hands.tally.memory for hands in self._hands.values())

    @property
    def spilled(self) -> int:
        """Virtual shards whose statistics are on the disk."""
        return sum(hands.tally.spilled for hands in self._hands.values())

    def statistics(self) -> MessageStatistics:
        """Return the statistics of everything registered on the shards of this node."""
        merged = MessageStatistics(self.settings)
        for shard in self._hands:
            merged = merged.merge(self._hands[shard].tally.statistics())
            self._fit()
        return merged

    def position(self, shard: int) -> tuple[int, int]:
        """Return (epoch, position) of a virtual shard, which say what its statistics hold."""
        return self._shards[shard].epoch, self._shards[shard].position

    def upkeep(self) -> None:
        """Take a snapshot of every shard, then merge small segments."""
        for event in (on.SnapshotDue(), on.MergeDue()):
            for shard in self._shards:
                self._tell(shard, event)
            self._work()

    def erase(self, span: Span, shards: Iterable[int]) -> Removed:
        """
        Take the messages of a part of the event time out of virtual shards, those among them that are not held yet.

        When this returns, neither journal nor snapshot nor statistics have them; keys of batches stay known. Where it
        is interrupted, some shards have them and some have not, and doing it again does the rest.

        Raises:
            InputError: a shard is held by another, or storage or catalog failed; its messages may still be there.
        """
        self.commit()
        self._erased.clear()
        wanted = list(shards)
        for shard in wanted:
            event = on.Erase(shard, span)
            if shard in self._shards:
                self._tell(shard, event)
            else:
                self.hold([shard], event)
        self._work()
        failed = {shard: why for shard in wanted if isinstance(why := self._erased.get(shard, "no answer"), str)}
        if failed:
            shard, why = next(iter(failed.items()))
            what = f"nothing was erased from {len(failed)} virtual shards: {why}"
            raise InputError(what, where=f"{self.stream.name}/{shard}", hint="run it again")
        return sum((found for found in self._erased.values() if isinstance(found, Removed)), Removed())

    def close(self) -> None:
        """Finish what waits, take snapshots, and give the shards back."""
        self.release(list(self._shards))
        self._pool.shutdown()

    def _known(self, key: str) -> KnownBatch | None:
        return self._manifest.known(self.stream.name, [key]).get(key)

    def _redirects_of(self, known: KnownBatch | None) -> tuple[Redirect, ...]:
        """Return the redirects under which a batch is divided: those of its first part, else all that there are."""
        if not self._requests:  # what waits together is divided alike, also where a key comes twice
            self._redirects = self._manifest.redirects(self.stream.name)
        return self._redirects if known is None else self._redirects[: known.division]

    def _begin(self, key: BatchKey, known: KnownBatch | None, parts: Iterable[int], size: int) -> Receipt:
        """Return a receipt that waits for the parts which are not in the journal, or says why none is taken now."""
        receipt, wanted = Receipt(key.key), set(parts)
        if known is not None and (known.digest, known.division) != (key.digest, key.division):
            receipt.refused = Refusal.DIVIDED if known.digest == key.digest else Refusal.CONFLICT
            receipt.left = wanted
            return receipt
        there = known.shards if known is not None else frozenset[int]()
        receipt.again = len(wanted & there)
        receipt.left = wanted - there
        held = sum(machine.held_bytes for machine in self._shards.values())
        if held and receipt.left and held + size > self._memory // 4:
            receipt.refused = Refusal.BUSY
        receipt.fresh = len(receipt.left)
        return receipt

    def _offer(self, receipt: Receipt, shard: int, body: Body) -> None:
        if shard not in self._shards:
            receipt.refused = Refusal.MOVED
            return
        self._requests.append((receipt, shard))
        self._tell(shard, on.Append(len(self._requests) - 1, body.record.key, body, len(body.encoded)))

    def _told(self, request: int, refusal: Refusal | None) -> None:
        receipt, shard = self._requests[request]
        if refusal is None:
            receipt.left.discard(shard)
        else:
            receipt.refused = refusal

    def _tell(self, shard: int, event: Event | None) -> None:
        if event is not None:
            self._queue.extend((shard, effect) for effect in self._shards[shard].handle(event))

    def _work(self) -> None:
        """
        Carry out effects until there are none.

        Segments of a round are written side by side, and registered in one transaction. The order of a shard's other
        effects is kept; those two do not depend on it. What was registered is counted while the disk is waited for, so
        that an acknowledgement waits for no counting but where memory is short.
        """
        while self._queue:
            effects, self._queue = self._queue, []
            self._round(effects)
        if all(machine.idle for machine in self._shards.values()):
            self._requests = []  # nobody will be told anything about them any more
        self._fit()  # what waits to be counted takes memory too

    def _round(self, effects: list[tuple[int, Effect]]) -> None:
        writes = [(shard, effect) for shard, effect in effects if isinstance(effect, do.WriteSegment)]
        hands = [self._hands[shard] for shard, _ in writes]
        written = self._pool.map(lambda own, write: own.perform(write[1]), hands, writes)
        self._perform([each for each in effects if not isinstance(each[1], do.WriteSegment | do.Register)])
        if writes:
            self._count_due(self._hands)
        for (shard, _), event in zip(writes, written, strict=True):
            self._tell(shard, event)
        self._register([(shard, effect) for shard, effect in effects if isinstance(effect, do.Register)])

    def _perform(self, effects: list[tuple[int, Effect]]) -> None:
        for shard, effect in effects:
            self._tell(shard, self._hands[shard].perform(effect))
            if isinstance(effect, do.CountSegment):
                self._count_due([shard])  # a journal may be longer than memory
            if isinstance(effect, do.LoadSnapshot | do.WriteSnapshot):
                self._fit()  # they have made arrays

    def _register(self, effects: list[tuple[int, do.Register]]) -> None:
        if not effects:
            return
        answers: list[Event]
        try:
            outcomes = self._manifest.register([self._hands[shard].registration(effect) for shard, effect in effects])
            answers = [on.RegistrationAnswered(outcome) for outcome in outcomes]
        except OutcomeUnknownError:
            answers = [on.RegistrationUnknown() for _ in effects]
        for (shard, _), answer in zip(effects, answers, strict=True):
            self._tell(shard, answer)

    def _count_due(self, shards: Iterable[int]) -> None:
        for shard in shards:
            if self._hands[shard].tally.due:
                self._hands[shard].tally.statistics()
                self._fit()

    def _fit(self) -> None:
        """Pack statistics that will not be counted for longest, then count what waits, until all fits in the memory."""
        tallies = [hands.tally for hands in self._hands.values()]
        while self.memory > self._memory and (chosen := _next_to_pack(tallies)):
            chosen.pack()
        for tally in tallies:
            if sum(each.packed for each in tallies) <= self._memory // 2:
                break
            tally.spill()

    def _check_held(self) -> None:
        lost = [shard for shard, machine in self._shards.items() if machine.phase is Phase.STOPPED]
        if lost:
            what = f"{len(lost)} virtual shards are held by another process, or the catalog does not answer"
            raise InputError(what, where=self.stream.name, hint="let one process ingest a stream at a time")


def _next_to_pack(tallies: Iterable[Tally]) -> Tally | None:
    live = [tally for tally in tallies if tally.live]
    if live:
        return max(live, key=lambda tally: tally.rest)
    return max((tally for tally in tallies if tally.waiting), key=lambda tally: tally.waiting, default=None)
