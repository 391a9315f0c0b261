"""ProtocolSpec: the one representation that parsers, validators, exporters, reports and the service read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field as Attribute
from pydantic import ValidationError

from ..errors import LimitError, SpecError
from .base import HexBytes, Label, Model, Name, Quantised, absent
from .evidence import Evidence
from .framing import DatagramFraming, Framing
from .grammar import Grammar, SequenceModel
from .guards import Guard
from .layout import Element, Switch

SCHEMA_VERSION = 1
MAX_SPEC_BYTES = 64 << 20
UNKNOWN_TYPE = "unknown"


class MessageType(Model):
    """
    A kind of message: all of ``guards`` hold. Types are tried in order; the first that matches is the type.

    Attributes:
        name: unique; ``unknown`` is kept for messages that match no type.
        label: what a person reads (for instance the key value), printable ASCII.
        messages, client_to_server, server_to_client: confirmed counts.
    """

    name: Name
    label: Label = ""
    guards: list[Guard] = []
    elements: list[Element] = []
    messages: int = 0
    client_to_server: int = 0
    server_to_client: int = 0


class KeyField(Model):
    """
    The field whose value tells the types apart best.

    Attributes:
        offset, width: in bytes, from the front of a message; mask: ``width`` bytes, the bits of it that tell, None for
            all of them.
    """

    offset: int
    width: int
    mask: HexBytes | None = None
    endianness: Literal["big", "little"] | None = None


class Carrier(Model):
    """What carries the messages: a UDP or TCP port, an EtherType, or an IP protocol number."""

    kind: Literal["udp", "tcp", "ethertype", "ip"]
    number: int = Attribute(ge=0, le=65535)


class Capture(Model):
    """An input of the discovery: its SHA-256 (first 16 hexadecimal digits), its number of messages."""

    hash: str
    messages: int


class Provenance(Model):
    """
    Where a specification comes from, enough to make it again.

    Attributes:
        labels_digest: of an analyst's labels, if any. models: SHA-256 of the weights that took part, by their task.
    """

    captures: list[Capture] = []
    statistics_digest: str = ""
    settings_digest: str = ""
    labels_digest: str | None = Attribute(default=None, exclude_if=absent)
    seed: int = 0
    engine: str = ""
    models: dict[str, str] = {}
    parent: str | None = None


class Measures(Model):
    """How well it explains messages; coverage is of messages that parse without error and without an unknown type."""

    messages: int = 0
    explained: int = 0
    held_out_messages: int = 0
    held_out_explained: int = 0
    held_out_coverage: Quantised = 0.0
    field_bytes_share: Quantised = 0.0


class ProtocolSpec(Model):
    """
    A protocol's specification.

    Attributes:
        protocol: name of the protocol (a service port, a label, or ``protocol``).
        groups: named layouts that fields, repeats and cases refer to; they may refer to each other and to themselves.
        evidence: claim → evidence. Claims are ``<kind>:<type>`` or ``<kind>:<type>.<field>``, for instance
            ``type:t03``, ``field:t03.length``, ``length:t03.length``, ``framing:stream``, ``key:protocol``.
        partial: what is missing and why, where a stage failed; a partial specification has no id.
        unconfirmed: whether claims were counted on the sample that proposed them alone, since no other message is kept.
    """

    schema_version: Literal[1] = 1
    protocol: Name = "protocol"
    version: int = Attribute(1, ge=1)
    carrier: Carrier | None = None
    framing: Framing = DatagramFraming()
    key: KeyField | None = None
    types: list[MessageType] = []
    groups: dict[Name, list[Element]] = {}
    grammar: Grammar = Grammar()
    sequence: SequenceModel = SequenceModel()
    evidence: dict[str, Evidence] = {}
    measures: Measures = Measures()
    provenance: Provenance = Provenance()
    partial: list[str] = []
    unconfirmed: bool = Attribute(default=False, exclude_if=lambda value: not value)

    @property
    def id(self) -> str | None:
        """Hash of the structure alone (20 hexadecimal digits), stable as evidence grows; None where partial."""
        if self.partial:
            return None
        return hashlib.sha256(_canonical(self.structure())).hexdigest()[:20]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the whole canonical document."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def structure(self) -> dict[str, Any]:
        """Return what ``id`` hashes: guards, layouts and relations, without counts, values and probabilities."""
        document = self.model_dump(mode="json", include={"framing", "types", "groups", "schema_version"})
        for message_type in document["types"]:
            for key in ("label", "messages", "client_to_server", "server_to_client"):
                del message_type[key]
        _drop_values(document["types"])
        _drop_values(document["groups"])
        return document

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: sorted keys, no spaces, ASCII."""
        return _canonical(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, text: bytes | str) -> ProtocolSpec:
        """
        Read a specification.

        Raises:
            LimitError: the document has more than 64 MiB.
            SpecError: it is no JSON, of another version, or not valid; the message names the first fault.
        """
        if len(text) > MAX_SPEC_BYTES:
            raise LimitError(f"specification of {len(text)} bytes, at most {MAX_SPEC_BYTES} are read")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"]) or "document"
            raise SpecError(first["msg"], where=path, hint=f"{error.error_count()} fault(s) in all") from None

    def type_named(self, name: str) -> MessageType | None:
        """Return the message type of that name."""
        return next((t for t in self.types if t.name == name), None)


_VALUE_KINDS = ("enum", "range", "constant", "flags")


def _drop_values(node: Any) -> None:
    """Take out what grows with evidence: probabilities, and the values of enums, ranges, constants and flags."""
    if isinstance(node, list):
        for item in node:
            _drop_values(item)
    elif isinstance(node, dict):
        node.pop("probability", None)
        constraints = node.get("constraints")
        if constraints is not None:
            node["constraints"] = [{"kind": c["kind"]} if c["kind"] in _VALUE_KINDS else c for c in constraints]
        for item in node.values():
            _drop_values(item)


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def walk(elements: list[Element]) -> Iterator[Element]:
    """Yield every element below these, in reading order; groups are not entered."""
    for element in elements:
        yield element
        if isinstance(element, Switch):
            for case in element.cases:
                yield from walk(case.elements)
            yield from walk(element.default)
        elif element.elements:
            yield from walk(element.elements)
