"""The specifications that a process answers with: read once, and read again where the catalog has a newer document."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from functools import cached_property
from time import monotonic
from typing import Any, cast

from cachetools import LRUCache

from ..cluster.catalog import Catalog, StoredSpecification
from ..cluster.dependency import UnavailableError, fell_back
from ..discovery.errors import NotFoundError
from ..discovery.parser import Parser
from ..discovery.spec import ProtocolSpec
from ..discovery.validator import MessageValidator

logger = logging.getLogger("qbitel.service")

MOST = 64
# Documents have hundreds of kilobytes: what a process holds is compared by digest, and no more often than that.
FRESH_S = 1.0


class KnownSpecification:
    """A specification as it is stored, with what was compiled from it so far; may be used from any thread."""

    def __init__(self, stored: StoredSpecification) -> None:
        self.stored = stored
        self._validators: dict[str, MessageValidator] = {}

    @cached_property
    def spec(self) -> ProtocolSpec:
        """The specification itself."""
        return ProtocolSpec.from_bytes(self.stored.document)

    @cached_property
    def parser(self) -> Parser:
        """Its parser."""
        return Parser(self.spec)

    def validator(self, level: str) -> MessageValidator:
        """Return its validator of a level."""
        found = self._validators.get(level)
        if found is None:
            found = self._validators[level] = MessageValidator(self.spec, cast(Any, level))
        return found

    def parses_at_once(self) -> bool:
        """Return whether nothing has to be compiled to parse."""
        return "parser" in self.__dict__

    def judges_at_once(self, level: str) -> bool:
        """Return whether nothing has to be compiled to validate at that level."""
        return level in self._validators


class Specifications:
    """
    A read-only snapshot of each tenant's newest documents, of those that were asked for; may be used from any thread.

    ``refresh``, which is called every ``FRESH_S`` seconds, takes what the catalog has anew: an answer is at most so
    much older. Where the catalog does not answer, the snapshot stays as it was, and what it holds goes on being served.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._held: LRUCache[tuple[str, str], KnownSpecification] = LRUCache(MOST)
        self._fresh, self._lost = monotonic(), False

    @property
    def age_s(self) -> float:
        """Seconds since the catalog was last heard."""
        return monotonic() - self._fresh

    def held(self, spec_id: str, tenant: str = "") -> KnownSpecification | None:
        """Return a tenant's specification where it is held; the catalog is not asked, and noted where it is lost."""
        with self._lock:
            known = self._held.get((tenant, spec_id))
        if self._lost and known is not None:
            fell_back("catalog")
        return known

    def find(self, spec_id: str, tenant: str = "") -> KnownSpecification:
        """
        Return the newest document of a tenant's specification; the catalog is read where it is not held.

        Raises:
            NotFoundError: there is none with that id.
        """
        known = self.held(spec_id, tenant)
        if known is None:
            stored = self._catalog.of(tenant).specification(spec_id)
            if stored is None:
                hint = "GET /v1/protocols lists those that are known"
                raise NotFoundError(f"no protocol '{spec_id[:64]}'", hint=hint)
            known = self._hold(tenant, stored)
        return known

    def warm(self, count: int) -> None:
        """Hold the specifications that were stored last, compiled, so that the first requests find them."""
        for tenant, spec_id in self._catalog.latest(min(count, MOST)):
            self.find(spec_id, tenant).parser  # noqa: B018

    def _hold(self, tenant: str, stored: StoredSpecification) -> KnownSpecification:
        with self._lock:
            known = self._held.get((tenant, stored.id))
            if known is None or known.stored.digest != stored.digest:
                known = self._held[tenant, stored.id] = KnownSpecification(stored)
            return known

    def refresh(self) -> list[str]:
        """Take what the catalog has anew, let go what it has no more, and return the ids of both."""
        with self._lock:
            held = {asked: known.stored.digest for asked, known in self._held.items()}
        try:
            newest = self._newest(held)
            changed = [asked for asked, digest in held.items() if newest.get(asked) != digest]
            documents = {(tenant, each): self._catalog.of(tenant).specification(each) for tenant, each in changed}
        except UnavailableError:
            if not self._lost:
                logger.warning("the catalog does not answer: specifications stay as they were")
            self._lost = True
            return []
        for asked, stored in documents.items():
            if stored is not None:
                self._hold(asked[0], stored)
            else:
                with self._lock:
                    self._held.pop(asked, None)
        self._fresh, self._lost = monotonic(), False
        return [spec_id for _, spec_id in changed]

    def _newest(self, held: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return the digests that the catalog has for what is held, asked tenant by tenant."""
        ids: dict[str, list[str]] = {}
        for tenant, spec_id in held:
            ids.setdefault(tenant, []).append(spec_id)
        found: dict[tuple[str, str], str] = {}
        for tenant, wanted in ids.items():
            found |= {(tenant, each): digest for each, digest in self._catalog.of(tenant).newest(wanted).items()}
        return found
