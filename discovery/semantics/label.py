"""Label the fields of a specification from their values in the sample."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..parser import Parser
from ..parser.symbols import Symbol
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Echo, Element, Evidence, Field, Fixed, ProtocolSpec, Repeat, Switch
from .byteorder import joint, order_of
from .clock import Clock
from .columns import Column, columns_of, table_of
from .detectors import DETECTORS, PLAIN, Context, Detector
from .judge import Proposal, judge
from .placed import Placed, owned
from .places import Places
from .profile import Profile, _hash
from .sequences import Sequences
from .structure import Role, roles_of

_OPEN = frozenset({"unknown", "payload"})
_OWN_END = frozenset({"ber_length", "leb128"})  # numbers whose encoding tells where they end
_FEWEST = 3
_VAGUE = frozenset({"integer", "range", "payload", "identifier"})  # detectors
_REPEATED = frozenset({"identifier", "counter", "integer"})
_NUMBERS = frozenset({"integer", "enum", "flags", "identifier"})
_TRIED = 16


@dataclass
class _Labels:
    """New fields by identity of the old ones, the evidence of their claims, and the symbols that are ``done``."""

    spec: ProtocolSpec
    sample: Sample
    settings: DiscoverySettings
    symbols: list[Symbol]
    roles: dict[tuple[str, str], Role]
    placed: Placed
    places: Places
    clock: Clock
    sequences: Sequences
    little: bool | None = None
    fields: dict[int, Field] = attribute(default_factory=dict)
    evidence: dict[str, Evidence] = attribute(default_factory=dict)
    done: set[int] = attribute(default_factory=set)

    def known(self, symbol: Symbol) -> bool:
        """Keep what the layout and proven relations say of a field; return whether that is all there is to say."""
        old = symbol.field
        assert old is not None
        owner = owned(symbol)
        role = self.roles.get((symbol.type or symbol.group, old.name))
        proven = self.spec.evidence.get(f"field:{owner}")
        if proven is not None:
            for constraint in old.constraints:
                self.evidence.setdefault(f"{constraint.kind}:{owner}", proven)
        if role is None and (proven is not None or old.semantic in _OPEN):
            return old.semantic not in _OPEN
        if id(old) not in self.fields:
            self.fields[id(old)] = self._given(old, owner, role or Role(old.semantic), proven)
        return True

    def _given(self, old: Field, owner: str, role: Role, proven: Evidence | None) -> Field:
        """Return the field with the meaning that the layout gives it, without one where messages refute that."""
        new = role.constraint is not None and all(c.kind != role.constraint.kind for c in old.constraints)
        evidence = proven if proven is not None and not new else self.placed.evidence(owner, old, role.semantic)
        if evidence is None:
            return old.model_copy(update={"semantic": "unknown"})
        update: dict[str, Any] = {"semantic": role.semantic}
        if new:
            update["constraints"] = [*old.constraints, role.constraint]
        kind = role.constraint.kind if role.constraint is not None else "field"
        self.evidence.setdefault(f"{kind}:{owner}", evidence)
        return old.model_copy(update=update)

    def rest(self) -> None:
        """Judge what the layout says of fields that no message that fits has; say of payload that it claims nothing."""
        for index, symbol in enumerate(self.symbols):
            if symbol.field is not None:
                if index not in self.done:
                    self.known(symbol)
                self._payload(owned(symbol), self.fields.get(id(symbol.field), symbol.field))

    def _payload(self, owner: str, field: Field) -> None:
        """Say of payload that nothing is laid out in that it claims nothing."""
        if field.semantic != "payload" or field.elements or field.group or f"field:{owner}" in self.spec.evidence:
            return
        evidence = self.placed.evidence(owner, field, "payload")
        if evidence is not None:
            self.evidence.setdefault(f"field:{owner}", evidence)

    def label(self, symbol: Symbol, proposal: Proposal, evidence: Evidence, profile: Profile | None = None) -> None:
        """Write one label into a field; ``profile`` shows the byte order of a number."""
        assert symbol.field is not None
        key, old = id(symbol.field), self.fields.get(id(symbol.field), symbol.field)
        fixed = old.encoding not in _OWN_END
        update: dict[str, Any] = {"semantic": proposal.semantic, **(proposal.update if fixed else {})}
        if proposal.constraint is not None:
            update["constraints"] = [*old.constraints, proposal.constraint]
        if (
            profile is not None
            and "encoding" not in update
            and (proposal.detector == "constant" or proposal.semantic in _NUMBERS)
        ):
            update |= self._number(old, profile)
        kind = proposal.constraint.kind if proposal.constraint is not None else "field"
        self.evidence[f"{kind}:{owned(symbol)}"] = evidence
        self.fields[key] = old.model_copy(update=update)

    def _number(self, old: Field, profile: Profile) -> dict[str, Any]:
        if profile.width not in (1, 2, 3, 4, 8) or old.encoding not in ("uint", "bytes"):
            return {}
        return {"encoding": "uint", "endianness": order_of(old, profile, self.little)}

    def propose(
        self, column: Column, profile: Profile, addresses: NDArray[np.uint64]
    ) -> tuple[Proposal, Evidence] | None:
        """Return the first meaning that the messages do not refute."""
        first = self.symbols[column.symbols[0]].field
        assert first is not None
        if profile.count("n") < _FEWEST:
            return None
        context = Context(first, profile, column.offset, column.last, self.little, addresses, self.places.hold)
        return (
            self._first(PLAIN, context)
            or self._judged(self.clock.time(profile), profile)
            or self.sequences.meaning(column.symbols, profile.width, self.little)
            or self._first(DETECTORS, context)
        )

    def _first(self, detectors: tuple[Detector, ...], context: Context) -> tuple[Proposal, Evidence] | None:
        for detector in detectors:
            found = self._judged(detector(context), context.profile)
            if found is not None:
                return found
        return None

    def _judged(self, proposal: Proposal | None, profile: Profile) -> tuple[Proposal, Evidence] | None:
        evidence = judge(proposal, profile, self.sample, self.settings) if proposal is not None else None
        return (proposal, evidence) if proposal is not None and evidence is not None else None

    def echo(self) -> None:
        """Say of answers' identifiers which field of the request they repeat."""
        index = {t.name: i for i, t in enumerate(self.spec.types)}
        requests = {(index[s.type], s.path): k for k, s in enumerate(self.symbols) if s.type and not s.repeated}
        for k, symbol in enumerate(self.symbols):
            asked = self.sequences.requests.get(index.get(symbol.type, -1))
            if symbol.field is not None and asked is not None and "." not in symbol.path:
                self._repeated(k, asked, requests)

    def _repeated(self, answer: int, asked: int, fields: dict[tuple[int, str], int]) -> None:
        """Write which field of the request an answer's identifier repeats."""
        symbol = self.symbols[answer]
        assert symbol.field is not None
        field = self.fields.get(id(symbol.field), symbol.field)
        found = self._echo(answer, asked, fields, field) if field.semantic in _REPEATED else None
        if found is not None:
            self.label(symbol, *found)

    def _echo(
        self, answer: int, asked: int, fields: dict[tuple[int, str], int], field: Field
    ) -> tuple[Proposal, Evidence] | None:
        """Return the claim that it repeats a field of the request of the same width, the one of its name first."""
        type_name = self.spec.types[asked].name
        names = [name for (t, name) in fields if t == asked and "." not in name]
        for name in sorted(names, key=lambda name: name != field.name)[:_TRIED]:
            other = self.symbols[fields[asked, name]].field
            if other is not None and other.width == field.width and isinstance(field.width, Fixed):
                found = self.sequences.echo(answer, fields[asked, name], Echo(type=type_name, field=name))
                if found is not None:
                    return found
        return None

    def vote(self, columns: list[Column], profiles: list[Profile]) -> None:
        """Decide the byte order of the protocol's numbers."""
        firsts = [self.symbols[column.symbols[0]] for column in columns]
        self.little = joint(
            (symbol.field, profile, self._read_by(symbol, symbol.field))
            for symbol, profile in zip(firsts, profiles, strict=True)
            if symbol.field is not None
        )

    def _read_by(self, symbol: Symbol, field: Field) -> bool:
        """Return whether a width or a number of items is read from a field, and messages do not refute that."""
        role = self.roles.get((symbol.type or symbol.group, symbol.name))
        if role is None or role.constraint is None:
            return False
        return self.placed.evidence(owned(symbol), field, role.semantic) is not None

    def unknown(self, column: Column) -> list[int]:
        """Return the symbols of a column that nothing is known of yet; the others are done."""
        unknown = [s for s in column.symbols if s not in self.done and not self.known(self.symbols[s])]
        self.done |= set(column.symbols) - set(unknown)
        return unknown

    def write(self, column: Column, profile: Profile, addresses: NDArray[np.uint64], pooled: bool) -> None:
        """Label the fields of a column that nothing is known of yet."""
        open_symbols = self.unknown(column)
        if not open_symbols:
            return
        found = _type_key(self.spec, column, profile) or self.propose(column, profile, addresses)
        vague = _VAGUE if pooled and len(column.symbols) > 1 else frozenset[str]()
        if found is not None and found[0].detector not in vague:
            for s in open_symbols:
                self.label(self.symbols[s], *found, profile)
            self.done |= set(open_symbols)


def label_fields(spec: ProtocolSpec, sample: Sample, settings: DiscoverySettings) -> ProtocolSpec:
    """
    Return the specification with semantics, encodings, byte orders, constraints and the evidence of each claim.

    What the layout and the relations already named stays. A place of the header that several types share is labelled
    by its values over all types, where that says something; other fields by their own values. Constraints that the
    proposing or the held-out messages refute are not kept.
    """
    if not spec.types or not len(sample.view):
        return spec
    parser = Parser(spec)
    fields = [symbol.field for symbol in parser.symbols]
    parsed = parser.parse_batch(sample.view)
    table = table_of(parsed, sample, fields)
    placed, places = Placed(parsed, sample, settings), Places(sample, settings)
    sequences = Sequences(parser, sample, settings)
    labels = _Labels(spec, sample, settings, parser.symbols, roles_of(spec), placed, places, Clock(sample), sequences)
    addresses = _endpoints(sample)
    for pooled in (True, False):
        leaves, columns = columns_of(table, fields, pooled)
        profiles = [Profile(leaves, column.index) for column in columns]
        if pooled:
            labels.vote(columns, profiles)
        for column, profile in zip(columns, profiles, strict=True):
            labels.write(column, profile, addresses, pooled)
    labels.echo()
    labels.rest()
    return _rewritten(spec, labels)


def _type_key(spec: ProtocolSpec, column: Column, profile: Profile) -> tuple[Proposal, Evidence] | None:
    """Return the label of the field that tells the types apart; what speaks for it is the evidence of the key."""
    key = spec.key
    if key is None or (column.offset, profile.width) != (key.offset, key.width):
        return None
    untestable = "the types are told apart by these bytes themselves"
    return Proposal("key", "type"), spec.evidence.get("key:protocol") or Evidence(detector="key", untestable=untestable)


def _endpoints(sample: Sample) -> NDArray[np.uint64]:
    """Return the hashes of the addresses of the sampled flows' endpoints."""
    flows = sample.flows
    sizes = flows.address_length.astype(np.int64)
    found = []
    for addresses in (flows.src, flows.dst):
        data = np.ascontiguousarray(addresses).reshape(-1)
        starts = np.arange(len(sizes), dtype=np.int64) * 16
        used = sizes > 0
        found.append(_hash(data, starts[used], sizes[used]))
    return np.unique(np.concatenate(found))


def _rewritten(spec: ProtocolSpec, labels: _Labels) -> ProtocolSpec:
    types = [t.model_copy(update={"elements": _elements(t.elements, labels.fields)}) for t in spec.types]
    groups = {name: _elements(elements, labels.fields) for name, elements in spec.groups.items()}
    evidence = {**spec.evidence, **labels.evidence}
    return spec.model_copy(update={"types": types, "groups": groups, "evidence": evidence})


def _elements(elements: list[Element], fields: dict[int, Field]) -> list[Element]:
    return [_element(element, fields) for element in elements]


def _element(element: Element, fields: dict[int, Field]) -> Element:
    """Return an element with the labelled fields in the place of the old ones."""
    if isinstance(element, Switch):
        cases = [c.model_copy(update={"elements": _elements(c.elements, fields)}) for c in element.cases]
        return element.model_copy(update={"cases": cases, "default": _elements(element.default, fields)})
    inner = _elements(element.elements, fields) if element.elements else element.elements
    if isinstance(element, Repeat):
        return element.model_copy(update={"elements": inner}) if inner else element
    labelled = fields.get(id(element), element)
    return labelled.model_copy(update={"elements": inner}) if inner else labelled
