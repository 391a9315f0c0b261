"""Feeds a stream that a fleet holds: batches go to whoever holds their shards, again and again until answered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, PendingCallsLimitExceeded, RayActorError, RayTaskError

from ..cluster.database import OutcomeUnknownError
from ..cluster.manifest import Stream
from ..discovery.errors import InputError, NotFoundError
from .effects import Refusal
from .fleet import Fleet
from .ingest import Keyed
from .moving import settle
from .node import Receipt
from .offer import Offer, offer_of

_LONGEST_WAIT = 1.0  # seconds between two attempts of a batch that nobody takes
_LOOK_S = 5.0  # without an answer, before it is looked whether there is still a connection


@dataclass
class Delivery:
    """
    Batches on their way.

    Attributes:
        batches: by key. offers: by key, as they are divided. left: by key, the virtual shards that have not answered
            for good. refused: by key, why a batch will never be taken. again: by key, parts that were in the journal
            before. divided: keys of which parts are in the journal under another division.
    """

    batches: dict[str, Keyed]
    offers: dict[str, Offer] = field(default_factory=dict)
    left: dict[str, set[int]] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    divided: set[str] = field(default_factory=set)
    asked: list[tuple[str, list[Offer], Any, int]] = field(default_factory=list)
    attempts: int = 0

    @property
    def open(self) -> bool:
        """Whether something is left to be sent, or an answer is still to come."""
        return bool(self.asked) or any(self.left.values())


class RayFeeder:
    """
    Sends batches to holders under their keys; a batch that is sent twice is counted once.

    Attributes:
        retries: calls that were lost with their holder, or refused since the shard was somewhere else.
    """

    def __init__(self, fleet: Fleet, stream: Stream) -> None:
        self._fleet, self._patience = fleet, fleet.settings.patience_s
        self.stream = fleet.state.manifest.add_stream(stream)
        self._placed = settle(fleet.state, fleet, self.stream)
        self._handles: dict[str, Any] = {}
        self._number = 0
        self.retries = 0

    def start(self, batches: Sequence[Keyed]) -> Delivery:
        """
        Send batches, each with a key of its own, and return at once; ``finish`` waits for the answers.

        Raises:
            InputError: a key is none (``is_key``). OutcomeUnknownError: the catalog does not answer.
        """
        delivery = Delivery({batch.key: batch for batch in batches})
        self._divide(delivery, list(delivery.batches))
        with self._connected():
            self._send(delivery)
        return delivery

    def _divide(self, delivery: Delivery, keys: list[str]) -> None:
        """Divide batches under the redirects of their first part in the journal, else under all that there are."""
        manifest, name = self._fleet.state.manifest, self.stream.name
        redirects = manifest.redirects(name)
        known = manifest.known(name, keys) if redirects else {}
        for key in keys:
            batch = delivery.batches[key]
            under = redirects[: known[key].division] if key in known else redirects
            offer = offer_of(
                self.stream, batch.rows, key, made=batch.made, capture=batch.capture, redirects=under
            )  # fmt: skip
            delivery.offers[key], delivery.left[key], delivery.again[key] = offer, set(offer.parts), 0

    def finish(self, delivery: Delivery) -> None:
        """
        Return when every batch is in the journal, whole, or refused for good.

        Raises:
            InputError: no answer in time; what was acknowledged stays, and the rest may be sent again.
        """
        until = time.monotonic() + self._patience
        while True:
            with self._connected():
                changed = self._hear(delivery, until)
                if not delivery.open:
                    return
                if time.monotonic() > until:
                    raise InputError("batches are taken by nobody", where=self.stream.name)
                if not delivery.asked:
                    self._look_again(delivery, changed)
                    self._send(delivery)
            if not changed and self._fleet.connection:
                self._fleet.connection.renew_if_lost(self._number)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Use the connection to Ray; what is known of holders is forgotten where it is another than before."""
        with nullcontext(0) if self._fleet.connection is None else self._fleet.connection.use() as number:
            if number != self._number:
                self._handles, self._number = {}, number
            yield

    def _send(self, delivery: Delivery) -> None:
        by_holder: dict[str, list[Offer]] = {}
        for key, left in delivery.left.items():
            for name in sorted({self._placed[shard] for shard in left}):
                part = delivery.offers[key].only({shard for shard in left if self._placed[shard] == name})
                by_holder.setdefault(name, []).append(part)
        limit = self._fleet.settings.limits.call_bytes
        for name, offers in by_holder.items():
            for call in _calls(offers, limit):
                self._call(delivery, name, call)

    def _call(self, delivery: Delivery, name: str, offers: list[Offer]) -> None:
        try:
            handle = self._handles.get(name) or self._fleet.handle(name)
            self._handles[name] = handle
            delivery.asked.append((name, offers, handle.write.remote(self.stream.name, offers), self._number))
        except (PendingCallsLimitExceeded, NotFoundError):
            self._handles.pop(name, None)  # its queue is full, or it ended: the next attempt looks again

    def _hear(self, delivery: Delivery, until: float) -> bool:
        """Take the answers, as far as they come soon; return whether one of them acknowledged something."""
        before = sum(map(len, delivery.left.values()))
        while delivery.asked:
            name, offers, answer, number = delivery.asked[0]
            receipts = self._answer(name, answer, until) if number == self._number else []
            if receipts is None:
                break
            del delivery.asked[0]
            for offer, receipt in zip(offers, receipts, strict=False):
                self._take(delivery, offer, receipt)
        return sum(map(len, delivery.left.values())) < before

    def _answer(self, name: str, answer: Any, until: float) -> list[Receipt] | None:
        """Return the receipts of a call: none where it must be made again, None where it is not answered yet."""
        left = until - time.monotonic()
        try:
            receipts: list[Receipt] = ray.get(answer, timeout=max(0.0, min(_LOOK_S, left)))
            return receipts
        except RayActorError:
            self._lost(name)
        except RayTaskError as error:
            if not isinstance(error.cause, OutcomeUnknownError):
                raise error.cause from None
            self.retries += 1
        except GetTimeoutError:
            if left > _LOOK_S:
                return None
            raise InputError("no answer in time", where=name) from None
        return []

    def _take(self, delivery: Delivery, offer: Offer, receipt: Receipt) -> None:
        key = offer.key
        delivery.again[key] = delivery.again.get(key, 0) + receipt.again
        if receipt.refused and not receipt.refused.retry:
            delivery.refused[key], delivery.left[key] = receipt.refused, set()
            return
        if receipt.refused is Refusal.DIVIDED:
            delivery.divided.add(key)
        self.retries += bool(receipt.left)
        delivery.left[key] -= offer.parts.keys() - receipt.left

    def _lost(self, name: str) -> None:
        """Wait a moment until a killed holder is back, or has ended."""
        self.retries += 1
        self._handles.pop(name, None)
        try:
            self._fleet.ask(name, "ready", patience_s=_LOOK_S)
        except (InputError, NotFoundError):
            return  # it has ended, and its shards are placed somewhere else; or it is asked again

    def _look_again(self, delivery: Delivery, changed: bool) -> None:
        delivery.attempts = 0 if changed else delivery.attempts + 1
        if delivery.attempts > 1:
            time.sleep(min(_LONGEST_WAIT, 0.02 * 2**delivery.attempts))
        self._placed = settle(self._fleet.state, self._fleet, self.stream)
        again, delivery.divided = sorted(delivery.divided - delivery.refused.keys()), set()
        self._divide(delivery, again)


def _calls(offers: list[Offer], limit: int) -> list[list[Offer]]:
    """Divide batches into calls of so many bytes, or of one batch."""
    calls: list[list[Offer]] = []
    size = limit + 1
    for offer in offers:
        if size + offer.size > limit:
            calls.append([])
            size = 0
        calls[-1].append(offer)
        size += offer.size
    return calls
