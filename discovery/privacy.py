"""What a specification shows of values: only those that enough messages have, or only their keyed hashes."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from .claim_counts import without
from .errors import InputError
from .parser import Parser
from .parser.parsed import ParsedBatch
from .sample import Sample
from .spec import Constraint, Element, Evidence, MessageType, ProtocolSpec, Switch
from .spec.constraints import Constant, Echo, Enum, Range
from .spec.guards import Guard, TokenGuard, ValueGuard

SHOWN = 12  # hashes of a field's values that are named
_DIGITS = 16  # hexadecimal digits of a hash
_LEAST_KEY = 16  # bytes


@dataclass(frozen=True)
class HashKey:
    """
    A tenant's key: equal values have equal hashes under it, and without it nobody can try values out.

    Raises:
        InputError: shorter than 16 bytes.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what could be guessed."""
        if len(self.secret) < _LEAST_KEY:
            raise InputError(f"a key of {len(self.secret)} bytes", hint=f"at least {_LEAST_KEY} random bytes")

    def hash(self, value: bytes) -> str:
        """Return the first 64 bits of HMAC-SHA-256, hexadecimal."""
        return hmac.new(self.secret, value, sha256).hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class Privacy:
    """
    What may be shown.

    Attributes:
        support: a value is shown where at least so many messages have it; 1 shows all.
        key: where set, values of fields are shown as hashes under it. Values that the parser needs to tell types,
            cases and ends apart stay as they are.
    """

    support: int = 1
    key: HashKey | None = None

    def __str__(self) -> str:
        """Return what a person is told."""
        few = f"values that fewer than {self.support} messages have are left out" if self.support > 1 else ""
        return ", ".join(filter(None, (few, "values of fields are hashed" if self.key else "")))

    @property
    def veils(self) -> bool:
        """Whether anything is not shown."""
        return self.support > 1 or self.key is not None

    def veil(self, spec: ProtocolSpec, sample: Sample) -> ProtocolSpec:
        """
        Return a specification without the values that may not be shown, and without the claims that name them.

        How many messages have a value is counted in the sample, each distinct payload as often as it occurred: never
        more than there are. Bounds of a range are values of single messages and go with ``support`` above 1.
        """
        if not self.veils:
            return spec
        spec, gone = self._supported(spec, sample)
        parsed = Parser(spec).parse_batch(sample.view)
        hidden = dict(self._hidden(parsed, sample, gone))
        names = frozenset(hidden)
        types = [t.model_copy(update={"elements": without(t.elements, t.name, names)}) for t in spec.types]
        groups = {name: without(elements, name, names) for name, elements in spec.groups.items()}
        update = {"types": types, "groups": groups, "evidence": _unsaid(spec.evidence, hidden)}
        return spec.model_copy(update=update)

    def _supported(self, spec: ProtocolSpec, sample: Sample) -> tuple[ProtocolSpec, set[str]]:
        """Return a specification with the types that enough messages have, and the names of the others."""
        types = [kept for t in spec.types if (kept := self._type(t, sample)) is not None]
        gone = {t.name for t in spec.types} - {t.name for t in types}
        lacking = sum(t.messages for t in spec.types if t.name in gone)
        measures = spec.measures.model_copy(update={"explained": max(0, spec.measures.explained - lacking)})
        evidence = {claim: found for claim, found in spec.evidence.items() if _owner(claim) not in gone}
        return spec.model_copy(update={"types": types, "measures": measures, "evidence": evidence}), gone

    def examples(self, sample: Sample) -> list[int]:
        """Return the rows of a sample that may be shown as they are: payloads that enough messages have."""
        if self.key is not None:
            return []
        return [int(row) for row in (sample.counts >= self.support).nonzero()[0]]

    def _type(self, message_type: MessageType, sample: Sample) -> MessageType | None:
        """Return a type with the guards' values that enough messages have, or None where that leaves nothing of it."""
        if message_type.messages < self.support:
            return None
        guards = [self._guard(guard, sample) for guard in message_type.guards]
        if any(isinstance(guard, ValueGuard | TokenGuard) and not guard.values for guard in guards):
            return None
        elements = [self._cases(element, sample) for element in message_type.elements]
        return message_type.model_copy(update={"guards": guards, "elements": elements})

    def _guard(self, guard: Guard, sample: Sample) -> Guard:
        if self.support < 2 or not isinstance(guard, ValueGuard | TokenGuard):
            return guard
        return guard.model_copy(update={"values": [v for v in guard.values if self._known(guard, v, sample)]})

    def _known(self, guard: ValueGuard | TokenGuard, value: bytes, sample: Sample) -> bool:
        masked = isinstance(guard, ValueGuard) and guard.mask is not None
        return masked or _occurrences([value], sample) >= self.support  # what a mask leaves is a kind, not a value

    def _cases(self, element: Element, sample: Sample) -> Element:
        if self.support < 2 or not isinstance(element, Switch):
            return element
        cases = [case for case in element.cases if all(self._seen(value, sample) for value in case.values)]
        return element.model_copy(update={"cases": cases})

    def _seen(self, value: int, sample: Sample) -> bool:
        width = max(1, (value.bit_length() + 7) // 8)
        orders = [value.to_bytes(width, "big"), value.to_bytes(width, "little")] if value >= 0 else []
        return _occurrences(orders, sample) >= self.support

    def _hidden(self, parsed: ParsedBatch, sample: Sample, gone: set[str]) -> Iterator[tuple[str, str]]:
        """Yield the claims that are not shown, and what is told of their values instead."""
        for index, symbol in enumerate(parsed.symbols):
            for constraint in symbol.field.constraints if symbol.field is not None else ():
                counts = _values(parsed, index, sample) if isinstance(constraint, Constant | Enum) else Counter()
                if self._hides(constraint, counts) or (isinstance(constraint, Echo) and constraint.type in gone):
                    yield f"{constraint.kind}:{symbol.type or symbol.group}.{symbol.name}", self._told(counts)

    def _hides(self, constraint: Constraint, counts: Counter[bytes]) -> bool:
        match constraint:
            case Constant(value=value):
                return self.key is not None or counts[value] < self.support
            case Enum(values=values):
                return self.key is not None or any(counts[value] < self.support for value in values)
            case Range():
                return self.support > 1 or self.key is not None
            case _:
                return False

    def _told(self, counts: Counter[bytes]) -> str:
        if self.key is None or not counts:
            return ""
        shown = sorted(self.key.hash(value) for value, count in counts.items() if count >= self.support)
        named = ", ".join(f"#{each}" for each in shown[:SHOWN])
        more = f" and {len(counts) - len(shown[:SHOWN])} more" if len(counts) > len(shown[:SHOWN]) else ""
        return f"hashed values {named}{more}" if named else f"{len(counts)} values, each in few messages"


OPEN = Privacy()


def _unsaid(evidence: Mapping[str, Evidence], hidden: Mapping[str, str]) -> dict[str, Evidence]:
    """Return evidence without what is hidden; where something is told of the values instead, the claim says that."""
    kept = dict(evidence)
    for claim, told in hidden.items():
        place = f"field:{claim.partition(':')[2]}"
        if place in kept:  # its statement names the value, too
            kept[place] = kept[place].model_copy(update={"statement": ""})
        unsaid = kept.pop(claim, None)
        if unsaid is not None and told:
            kept[claim] = unsaid.model_copy(update={"statement": told})
    return kept


def _owner(claim: str) -> str:
    return claim.partition(":")[2].partition(".")[0]


def _values(parsed: ParsedBatch, symbol: int, sample: Sample) -> Counter[bytes]:
    """Return how many messages have each value of a field."""
    counts: Counter[bytes] = Counter()
    leaves = parsed.leaves_of(symbol)
    data, at = parsed.view.data, parsed.leaf_at
    seen: set[tuple[int, bytes]] = set()
    for leaf in leaves.tolist():
        row = int(parsed.leaf_row[leaf])
        value = data[at[leaf] : at[leaf] + parsed.leaf_length[leaf]].tobytes()
        if (row, value) not in seen:  # once a message, however often it repeats
            seen.add((row, value))
            counts[value] += int(sample.counts[row])
    return counts


def _occurrences(values: Sequence[bytes], sample: Sample) -> int:
    """Return how many messages hold one of these values anywhere."""
    view = sample.view
    payloads = ((row, view.payload(row)) for row in range(len(view)))
    return sum(int(sample.counts[row]) for row, payload in payloads if any(value in payload for value in values))
