"""The client of the service for programs that run on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx
import pyarrow as pa

from ..discovery.batch import MessageBatch
from ..discovery.classifier import Classification
from ..discovery.spec import ProtocolSpec
from ..serve_app import models, stream_models
from ..serve_app.models import Context, Rule
from . import calls
from .calls import Call, Capture, Messages
from .errors import error_of, unreachable
from .events import Event, EventReader
from .waits import Waits

Answer = TypeVar("Answer")


class AsyncClient:
    """
    A client of the service for asyncio; use it in a ``async with`` block, or close it.

    Every method raises ServiceError with the service's problem, by its kind, or UnreachableError. What is refused for
    now (429, 503) is asked again after the time that the service names, and nothing else is.

    Args:
        address: of the service, ``http://127.0.0.1:8000``. token: sent as ``Authorization: Bearer``.
        timeout_s: to wait for an answer. patience_s: to wait, in all of one call, for a service that takes no more.
        transport: for ``httpx``, where its own shall not be used.
    """

    def __init__(
        self, address: str, *, token: str | None = None, timeout_s: float = 120.0, patience_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.AsyncClient(base_url=address, headers=headers, timeout=timeout_s, transport=transport)
        self._patience_s = patience_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(self, call: Call[Answer]) -> Answer:
        """Make a call and return what its answer says."""
        waits = Waits(self._patience_s)
        while True:
            try:
                answer = await self._http.request(call.method, call.path, **call.request)
            except httpx.TransportError as error:
                raise unreachable(error, f"{self._http.base_url}{call.path}") from error
            if answer.is_success:
                return call.read(answer.content)
            pause = waits.before_next(answer)
            if pause is None:
                raise error_of(answer.status_code, answer.content, call.path)
            await asyncio.sleep(pause)

    async def events(self, discovery_id: str, last_event_id: str | None = None) -> AsyncIterator[Event]:
        """
        Yield what happens to a discovery up to its end; where the connection breaks, go on behind the last event.

        Raises:
            UnreachableError: it broke, and nothing came since it broke the last time.
        """
        told, broken = last_event_id, False
        while True:
            call, reader = calls.discovery_events(discovery_id, told), EventReader()
            try:
                async with self._http.stream(call.method, call.path, **call.request) as answer:
                    if not answer.is_success:
                        raise error_of(answer.status_code, await answer.aread(), call.path)
                    async for line in answer.aiter_lines():
                        event = reader.read(line)
                        if event is not None:
                            told, broken = event.id, False
                            yield event
                            if event.name == "end":
                                return
                return
            except httpx.TransportError as error:
                if broken:
                    raise unreachable(error, f"{self._http.base_url}{call.path}") from error
                broken = True

    async def wait(self, discovery_id: str) -> models.Discovery:
        """Return a discovery when it has ended."""
        async for _ in self.events(discovery_id):
            pass
        return await self.discovery(discovery_id)

    async def discover(
        self, source: Capture | Sequence[bytes] | MessageBatch, *, context: Context | None = None
    ) -> models.Discovery:
        """Discover the protocols of a capture or of messages, and return the discovery when it has ended."""
        started = await self.start_discovery(source, context=context)
        return started if started.status not in ("waiting", "running") else await self.wait(started.id)

    async def specification(self, reference: str) -> ProtocolSpec:
        """Return a specification to parse, export or compare with here."""
        found = await self.protocol(reference)
        return ProtocolSpec.model_validate(found.spec)

    async def discoveries(self, *, status: models.Status | None = None) -> AsyncIterator[models.DiscoverySummary]:
        """Yield the discoveries, the newest first, page by page."""
        after: str | None = None
        while True:
            page = await self.discoveries_page(after=after, status=status)
            for each in page.discoveries:
                yield each
            after = page.next
            if after is None:
                return

    async def protocols(self, *, protocol: str | None = None) -> AsyncIterator[models.ProtocolSummary]:
        """Yield the known specifications, of one name or all, the newest first, page by page."""
        after: str | None = None
        while True:
            page = await self.protocols_page(after=after, protocol=protocol)
            for each in page.protocols:
                yield each
            after = page.next
            if after is None:
                return

    async def model_versions(self, model: str) -> AsyncIterator[models.ModelVersion]:
        """Yield the versions of a model, the newest first, page by page."""
        below: int | None = None
        while True:
            page = await self.model_versions_page(model, below=below)
            for each in page.versions:
                yield each
            below = page.next
            if below is None:
                return

    async def start_discovery(
        self,
        source: Capture | Sequence[bytes] | MessageBatch,
        *,
        context: Context | None = None,
        key: str | None = None,
        wait: bool = True,
    ) -> models.Discovery:
        """
        Start the discovery of a capture or of messages.

        Args:
            source: a path or bytes are a capture; a sequence of bytes or a batch are messages of one protocol.
            context: what is known before. key: the same again gives the same discovery; one of its own where None.
            wait: let the service answer with the result where the input is small.
        """
        return await self.send(calls.start_discovery(source, context=context, key=key, wait=wait))

    async def discovery(self, discovery_id: str) -> models.Discovery:
        """Return the state of a discovery."""
        return await self.send(calls.discovery(discovery_id))

    async def discoveries_page(
        self, *, after: str | None = None, status: models.Status | None = None, limit: int = 100
    ) -> models.DiscoveryList:
        """Return a page of the discoveries, the newest first; ``next`` of it is ``after`` of the next page."""
        return await self.send(calls.discoveries_page(after=after, status=status, limit=limit))

    async def cancel(self, discovery_id: str) -> models.Discovery:
        """Cancel a discovery."""
        return await self.send(calls.cancel(discovery_id))

    async def classify(self, messages: Messages, *, top: int = 3, reasons: int = 0) -> Classification:
        """Say which known protocol messages are of together."""
        return await self.send(calls.classify(messages, top=top, reasons=reasons))

    async def classify_each(self, messages: Messages) -> pa.Table:
        """Say of each message which known protocol it is of: protocol, probability and unknown, a row a message."""
        return await self.send(calls.classify_each(messages))

    async def parse(self, protocol: str, messages: Messages) -> models.ParseResponse:
        """Parse messages to trees, with the specification of that id."""
        return await self.send(calls.parse(protocol, messages))

    async def parse_table(self, protocol: str, messages: Messages) -> pa.Table:
        """Parse messages to columns, a row a message."""
        return await self.send(calls.parse_table(protocol, messages))

    async def validate(
        self, protocol: str, messages: Messages, *, level: models.Level = "standard", rules: Sequence[Rule] = ()
    ) -> models.ValidateResponse:
        """Judge messages by the specification of that id, and by rules of one's own."""
        return await self.send(calls.validate(protocol, messages, level=level, rules=rules))

    async def validate_table(
        self, protocol: str, messages: Messages, *, level: models.Level = "standard", rules: Sequence[Rule] = ()
    ) -> pa.Table:
        """Judge messages, a row a message: row, valid and violations."""
        return await self.send(calls.validate_table(protocol, messages, level=level, rules=rules))

    async def protocols_page(
        self, *, after: str | None = None, protocol: str | None = None, limit: int = 100
    ) -> models.ProtocolList:
        """Return a page of the known specifications, of one name or all, the newest first."""
        return await self.send(calls.protocols_page(after=after, protocol=protocol, limit=limit))

    async def protocol(self, reference: str) -> models.ProtocolDocument:
        """Return a specification: ``id``, ``id@v3``, or ``id@`` and the digest of a document."""
        return await self.send(calls.protocol(reference))

    async def versions(self, spec_id: str, *, limit: int = 100) -> models.ProtocolVersions:
        """Return the documents of a specification with what they were learned on from and to."""
        return await self.send(calls.versions(spec_id, limit=limit))

    async def diff(self, spec_id: str, before: str, after: str | None = None) -> models.ProtocolDiff:
        """Say what differs between two documents: ``v1``, a digest, or a reference (None: the newest)."""
        return await self.send(calls.diff(spec_id, before, after))

    async def export(self, reference: str, form: Literal["python", "wireshark", "json-schema", "dot"]) -> str:
        """Return a specification in another language."""
        return await self.send(calls.export(reference, form))

    async def delete_protocol(self, spec_id: str) -> models.DeletedProtocol:
        """Delete all documents of a specification."""
        return await self.send(calls.delete_protocol(spec_id))

    async def models_list(self) -> models.ModelList:
        """Return all models with what their aliases stand for."""
        return await self.send(calls.models_list())

    async def model_versions_page(
        self, model: str, *, below: int | None = None, limit: int = 100
    ) -> models.ModelVersions:
        """Return a page of the versions of a model, the newest first."""
        return await self.send(calls.model_versions_page(model, below=below, limit=limit))

    async def model_version(self, model: str, number: int) -> models.ModelVersion:
        """Return a version of a model."""
        return await self.send(calls.model_version(model, number))

    async def aliased(self, model: str, alias: str) -> models.ModelVersion:
        """Return the version that an alias stands for."""
        return await self.send(calls.aliased(model, alias))

    async def move_alias(self, model: str, alias: str, version: int) -> models.ModelVersion:
        """Let an alias stand for a version."""
        return await self.send(calls.move_alias(model, alias, version))

    async def drop_alias(self, model: str, alias: str) -> models.ModelVersion:
        """Let an alias stand for nothing."""
        return await self.send(calls.drop_alias(model, alias))

    async def retrain(self, model: str, asked: models.RetrainRequest, *, key: str | None = None) -> models.Retraining:
        """Submit the training of a challenger; the same key again gives the same retraining."""
        return await self.send(calls.retrain(model, asked, key=key))

    async def retraining(self, model: str, run: str) -> models.Retraining:
        """Return how a retraining goes."""
        return await self.send(calls.retraining(model, run))

    async def streams(self) -> stream_models.StreamList:
        """Return all streams."""
        return await self.send(calls.streams())

    async def append(self, stream: str, messages: MessageBatch, key: str) -> stream_models.Appended:
        """Add a batch to a stream; the same key again counts nothing twice."""
        return await self.send(calls.append(stream, messages, key))

    async def stream_digest(self, stream: str, window: str = "all") -> stream_models.Digest:
        """Return the digest of a window's statistics."""
        return await self.send(calls.stream_digest(stream, window))

    async def stream_statistics(self, stream: str, window: str = "all") -> pa.Table:
        """Return what stands at each offset of a window's messages, a row an offset, with histograms."""
        return await self.send(calls.stream_statistics(stream, window))

    async def stream_versions(self, stream: str) -> stream_models.StreamVersions:
        """Return the versions of a stream's specification."""
        return await self.send(calls.stream_versions(stream))

    async def stream_events(self, stream: str, *, after: int = 0, limit: int = 100) -> stream_models.StreamEvents:
        """Return what drifted in a stream, behind an event that is known."""
        return await self.send(calls.stream_events(stream, after=after, limit=limit))

    async def discover_stream(self, stream: str, window: str = "all", *, wait: bool = True) -> models.Discovery:
        """Find the specification of a window."""
        return await self.send(calls.discover_stream(stream, window, wait=wait))

    async def retain(self, stream: str, days: float | None) -> stream_models.Retention:
        """Say how many days a stream keeps messages; None: for ever."""
        return await self.send(calls.retain(stream, days))

    async def erase_stream(self, stream: str, window: str = "all") -> stream_models.ErasedStream:
        """Erase the messages of a window."""
        return await self.send(calls.erase_stream(stream, window))

    async def health(self) -> models.DeepHealth:
        """Return how each part of the service does."""
        return await self.send(calls.health())
