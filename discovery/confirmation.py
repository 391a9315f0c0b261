"""Confirm a proposed specification on every message: exact support, and statistics of what it leaves unexplained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .batch import MessageBatch, MessageView
from .claim_counts import ClaimCount, count_claims, merged, without
from .falsification import refuted
from .parser import Parser
from .parser.symbols import Symbol
from .sample import Sample
from .settings import DiscoverySettings
from .spec import Element, Evidence, Measures, MessageType, ProtocolSpec
from .statistics import MessageStatistics

UNSTRUCTURED = frozenset({"payload", "opaque", "unknown"})


@dataclass(frozen=True)
class Confirmation:
    """
    What messages say of a specification: a commutative monoid under ``merge``.

    Attributes:
        types: (types + 1, 3) int64, messages by type and direction; the last row is the unknown type.
        parsed: (types + 1,) int64, of these, parsed without error.
        field_bytes, payload_bytes: bytes inside fields with a meaning or a known value, and all bytes.
        claims: exact support of the constraints that single messages can break, by claim.
        unexplained: statistics of the messages that have no type or do not parse.
    """

    types: NDArray[np.int64]
    parsed: NDArray[np.int64]
    field_bytes: int
    payload_bytes: int
    claims: dict[str, ClaimCount]
    unexplained: MessageStatistics

    @property
    def messages(self) -> int:
        """Return the number of messages read."""
        return int(self.types.sum())

    @property
    def explained(self) -> int:
        """Return the number of messages of a known type that parse without error."""
        return int(self.parsed[:-1].sum())

    def merge(self, other: Confirmation) -> Confirmation:
        """Return the confirmation on both parts together."""
        return Confirmation(
            self.types + other.types,
            self.parsed + other.parsed,
            self.field_bytes + other.field_bytes,
            self.payload_bytes + other.payload_bytes,
            merged(self.claims, other.claims),
            self.unexplained.merge(other.unexplained),
        )

    def apply(self, spec: ProtocolSpec, sample: Sample, parser: Parser) -> ProtocolSpec:
        """
        Return the specification with these counts, without the constraints that they refute, and with its coverage.

        Coverage is of the held-out messages of the sample, which ``parser`` reads.
        """
        types = [
            message_type.model_copy(
                update={
                    "messages": int(counts.sum()),
                    "client_to_server": int(counts[1]),
                    "server_to_client": int(counts[2]),
                }
            )
            for message_type, counts in zip(spec.types, self.types, strict=False)
        ]
        evidence = self._evidence(spec)
        broken = {claim for claim, count in self.claims.items() if self._refutes(count)}
        types, groups = _unclaimed(types, spec.groups, broken)
        evidence = {claim: found for claim, found in evidence.items() if claim not in broken}
        held_out = parser.parse_batch(sample.view.take(sample.held_out)).explained
        measures = Measures(
            messages=self.messages,
            explained=self.explained,
            held_out_messages=len(held_out),
            held_out_explained=int(held_out.sum()),
            held_out_coverage=float(held_out.mean()) if len(held_out) else 0.0,
            field_bytes_share=self.field_bytes / self.payload_bytes if self.payload_bytes else 0.0,
        )
        return spec.model_copy(update={"types": types, "groups": groups, "evidence": evidence, "measures": measures})

    def _refutes(self, count: ClaimCount) -> bool:
        """
        Return whether all messages together refute a claim that the sample's held-out part could not.

        Those that proposed it are among them, so this errs in its favour.
        """
        return refuted(count.trials - count.support, count.trials, self.unexplained.settings)

    def _evidence(self, spec: ProtocolSpec) -> dict[str, Evidence]:
        """The evidence of the specification with what all messages say of each claim."""
        evidence = dict(spec.evidence)
        counts = dict(self.claims)
        for index, message_type in enumerate(spec.types):
            counts[f"type:{message_type.name}"] = ClaimCount(int(self.parsed[index]), int(self.types[index].sum()))
        for claim, count in counts.items():
            if claim in evidence:
                update: dict[str, object] = {"confirmed_support": count.support, "confirmed_trials": count.trials}
                if count.against:
                    update["counter_examples"] = count.counter_examples()
                evidence[claim] = evidence[claim].model_copy(update=update)
        return evidence

    def widen(self, sample: Sample) -> Sample | None:
        """Return the sample with unexplained messages that it lacks, or None where there are none to learn from."""
        if sample.complete or self.unexplained.empty:
            return None
        wider = sample.joined(self.unexplained.sample())
        return wider if len(wider.view) > len(sample.view) else None


def _has_meaning(symbol: Symbol) -> bool:
    """Return whether a field has a meaning, or a value that is known."""
    constraints = symbol.field.constraints if symbol.field is not None else []
    return symbol.semantic not in UNSTRUCTURED or any(c.kind == "constant" for c in constraints)


def _unclaimed(
    types: list[MessageType], groups: dict[str, list[Element]], broken: set[str]
) -> tuple[list[MessageType], dict[str, list[Element]]]:
    """Return types and groups without the constraints that these claims are about; themselves where there are none."""
    if not broken:
        return types, groups
    kept = [t.model_copy(update={"elements": without(t.elements, t.name, broken)}) for t in types]
    return kept, {name: without(elements, name, broken) for name, elements in groups.items()}


class Confirmer:
    """Confirms one specification, compiled once, on any number of parts."""

    def __init__(self, spec: ProtocolSpec, settings: DiscoverySettings) -> None:
        self.spec, self.settings = spec, settings
        self.parser = Parser(spec)
        self.meaningful = np.array([_has_meaning(symbol) for symbol in self.parser.symbols] + [False])

    def empty(self) -> Confirmation:
        """Return the neutral element."""
        types = np.zeros((len(self.spec.types) + 1, 3), np.int64)
        return Confirmation(types, types[:, 0].copy(), 0, 0, {}, MessageStatistics(self.settings))

    def confirm(
        self, view: MessageView, captures: tuple[str, ...], directions: NDArray[np.int64] | None = None
    ) -> Confirmation:
        """
        Parse messages and count.

        Args:
            captures: capture hash by source index.
            directions: (n, 3) int64 occurrences where a message stands for several, None for once each.
        """
        parsed = self.parser.parse_batch(view)
        if directions is None:
            directions = np.zeros((len(view), 3), np.int64)
            directions[np.arange(len(view)), view.direction] = 1
        weights = directions.sum(axis=1)
        types = np.zeros((len(self.spec.types) + 1, 3), np.int64)
        np.add.at(types, parsed.type_index, directions)  # an unknown type, -1, is the last row
        explained = np.zeros(len(types), np.int64)
        np.add.at(explained, parsed.type_index, np.where(parsed.status == 0, weights, 0))
        structured = self.meaningful[parsed.leaf_symbol]
        field_bytes = int((parsed.leaf_length[structured] * weights[parsed.leaf_row[structured]]).sum())
        unexplained = MessageStatistics(self.settings)
        rows = np.flatnonzero(~parsed.explained)
        if len(rows):
            left = MessageBatch.from_view(view.take(rows))
            unexplained.update(left, list(captures) if any(captures) else "")
        claims = count_claims(parsed, weights, captures, self.spec.evidence)
        payload_bytes = int((view.lengths * weights).sum())
        return Confirmation(types, explained, field_bytes, payload_bytes, claims, unexplained)
