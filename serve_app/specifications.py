"""The specifications that a process answers with: read once, and read again where the catalog has a newer document."""

from __future__ import annotations

import logging
import threading
from functools import cached_property
from time import monotonic
from typing import Any, cast

from cachetools import LRUCache

from ..cluster.catalog import Catalog, StoredSpecification
from ..cluster.dependency import UnavailableError, fell_back
from ..cluster.lists import CatalogLists
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
    A read-only snapshot of the newest documents, of those that were asked for; may be used from any thread.

    ``refresh``, which is called every ``FRESH_S`` seconds, takes what the catalog has anew: an answer is at most so
    much older. Where the catalog does not answer, the snapshot stays as it was, and what it holds goes on being served.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._held: LRUCache[str, KnownSpecification] = LRUCache(MOST)
        self._fresh, self._lost = monotonic(), False

    @property
    def age_s(self) -> float:
        """Seconds since the catalog was last heard."""
        return monotonic() - self._fresh

    def held(self, spec_id: str) -> KnownSpecification | None:
        """Return a specification where the snapshot has it; the catalog is not asked, and noted where it is lost."""
        with self._lock:
            known = self._held.get(spec_id)
        if self._lost and known is not None:
            fell_back("catalog")
        return known

    def find(self, spec_id: str) -> KnownSpecification:
        """
        Return the newest document of a specification; the catalog is read where it is not held.

        Raises:
            NotFoundError: there is none with that id.
        """
        known = self.held(spec_id)
        if known is None:
            stored = self._catalog.specification(spec_id)
            if stored is None:
                hint = "GET /v1/protocols lists those that are known"
                raise NotFoundError(f"no protocol '{spec_id[:64]}'", hint=hint)
            known = self._hold(stored)
        return known

    def warm(self, count: int) -> None:
        """Hold the specifications that were stored last, compiled, so that the first requests find them."""
        for entry in CatalogLists(self._catalog).specifications(min(count, MOST)):
            self.find(entry.id).parser  # noqa: B018

    def _hold(self, stored: StoredSpecification) -> KnownSpecification:
        with self._lock:
            known = self._held.get(stored.id)
            if known is None or known.stored.digest != stored.digest:
                known = self._held[stored.id] = KnownSpecification(stored)
            return known

    def refresh(self) -> list[str]:
        """Take what the catalog has anew, let go what it has no more, and return the ids of both."""
        with self._lock:
            held = {spec_id: known.stored.digest for spec_id, known in self._held.items()}
        try:
            newest = self._catalog.newest(held) if held else {}
            changed = [spec_id for spec_id, digest in held.items() if newest.get(spec_id) != digest]
            documents = {spec_id: self._catalog.specification(spec_id) for spec_id in changed}
        except UnavailableError:
            if not self._lost:
                logger.warning("the catalog does not answer: specifications stay as they were")
            self._lost = True
            return []
        for spec_id, stored in documents.items():
            if stored is not None:
                self._hold(stored)
            else:
                with self._lock:
                    self._held.pop(spec_id, None)
        self._fresh, self._lost = monotonic(), False
        return changed
