"""
Compile a specification into a program: tables of numbers and constant bytes for the machine.

No text is generated and no name of the specification enters the tables; names stay in the symbols, beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LimitError, SpecError
from ..spec import (
    Delimited,
    Element,
    Field,
    Fixed,
    FromLength,
    ProtocolSpec,
    Repeat,
    Run,
    SelfDelimiting,
    Stop,
    Switch,
    Times,
    Until,
    Width,
    walk,
)  # fmt: skip
from . import dispatch, machine
from .guards import GuardTables
from .numbers import BER_LENGTH, INT, LEB128, NONE, UINT
from .pool import Pool, wrapped
from .symbols import Symbol
from .widths import CLASSES, REGISTER_COLUMNS

MAX_NESTING = 64
"""Elements written inside each other; groups nest without bound, and messages are bounded by ``Limits.depth``."""
_FAR = 1 << 44
_NUMBERS = {"uint": UINT, "int": INT, "ber_length": BER_LENGTH, "leb128": LEB128}
_ORIGINS = {"self": 0, "message": 1, "length_end": 2}
_FORMS = {"ber_length": 0, "ber_tag": 1, "leb128": 2, "labels": 3}


@dataclass(frozen=True)
class Program:
    """
    What the machine runs.

    Attributes:
        table: int64, read-only: a head, then elements, guards and constants in no particular order.
        scratch: cells of the machine's state for referenced numbers and for what guards read.
        symbols: by symbol id of a leaf, from 0.
        nodes: regions and items of repeats; node ``k`` has the symbol id ``-2 - k``.
        names: name of the element at each offset of the table.
    """

    table: NDArray[np.int64]
    scratch: int
    symbols: list[Symbol]
    nodes: list[Symbol]
    names: dict[int, str]


@dataclass(frozen=True)
class _Place:
    """Where elements stand: in which type or group, below which names."""

    type: str
    group: str
    path: str = ""
    repeated: bool = False
    nesting: int = 0

    def below(self, name: str, repeated: bool = False) -> _Place:
        if self.nesting >= MAX_NESTING:
            raise LimitError(f"elements nest more than {MAX_NESTING} deep", where=self.type or self.group)
        path = f"{self.path}.{name}" if self.path and name else self.path or name
        return _Place(self.type, self.group, path, self.repeated or repeated, self.nesting + 1)

    def symbol(self, name: str) -> Symbol:
        return Symbol(self.type, self.group, f"{self.path}.{name}" if self.path else name, repeated=self.repeated)


def compile_program(spec: ProtocolSpec) -> Program:
    """
    Compile a specification.

    Raises:
        SpecError: a group or a field that something refers to does not exist.
        LimitError: elements nest too deeply.
    """
    return _Compiler(spec).program()


class _Compiler:
    def __init__(self, spec: ProtocolSpec) -> None:
        self.spec = spec
        self.pool = Pool(dispatch.HEAD)
        self.names: dict[int, str] = {}
        self.symbols: list[Symbol] = []
        self.nodes: list[Symbol] = []
        self.groups: dict[str, tuple[int, int]] = {}
        self.waiting: list[tuple[int, Sequence[Element], _Place]] = []
        self.registers = {
            name: machine.STATE_HEAD + REGISTER_COLUMNS * index for index, name in enumerate(sorted(_referenced(spec)))
        }

    def program(self) -> Program:
        registers = REGISTER_COLUMNS * len(self.registers)
        guards = GuardTables(self.spec.types, self.pool, machine.STATE_HEAD + registers)
        blocks: list[int] = []
        for message_type in self.spec.types:
            place = _Place(message_type.name, "")
            blocks += self.block(message_type.elements, place)
            blocks.append(-1 if message_type.elements else self.leaf(place.symbol("payload")))
        while self.waiting:
            self._fill(*self.waiting.pop())
        self.pool.numbers[dispatch.TYPE_BLOCKS] = self.pool.add(blocks)
        return Program(self.pool.array(), registers + guards.cells, self.symbols, self.nodes, self.names)

    def leaf(self, symbol: Symbol) -> int:
        self.symbols.append(symbol)
        return len(self.symbols) - 1

    def node(self, symbol: Symbol) -> int:
        self.nodes.append(symbol)
        return -1 - len(self.nodes)

    def block(self, elements: Sequence[Element], place: _Place) -> tuple[int, int]:
        """Write elements, one after the other; return where they begin and stop."""
        begin, stop = self._room(elements)
        self._fill(begin, elements, place)
        return begin, stop

    def _room(self, elements: Sequence[Element]) -> tuple[int, int]:
        begin = self.pool.add([0] * machine.COLUMNS * len(elements))
        places = range(begin, len(self.pool.numbers), machine.COLUMNS)
        self.names.update(zip(places, (element.name for element in elements), strict=True))
        return begin, len(self.pool.numbers)

    def _fill(self, begin: int, elements: Sequence[Element], place: _Place) -> None:
        reserves = [0]  # bytes of the fixed fields that follow, from the last element on
        for element in reversed(elements[1:]):
            size = element.width.size if isinstance(element, Field) and isinstance(element.width, Fixed) else 0
            reserves.append(min(reserves[-1] + size, _FAR))
        for index, element in enumerate(elements):
            row = [0] * machine.COLUMNS
            row[machine.RESERVE] = reserves[-1 - index]
            row[machine.REGISTER] = row[machine.INNER] = -1
            if isinstance(element, Field):
                self._field(row, element, place)
            elif isinstance(element, Repeat):
                self._repeat(row, element, place)
            else:
                self._switch(row, element, place)
            at = begin + machine.COLUMNS * index
            self.pool.numbers[at : at + machine.COLUMNS] = row

    def _inside(self, elements: Sequence[Element], group: str | None, place: _Place) -> tuple[int, int]:
        """Return the block of a region, an item or a case; that of a group is written once."""
        if group is None:
            return self.block(elements, place)
        if group not in self.groups:
            if group not in self.spec.groups:
                raise SpecError(f"no group '{group}'", where=place.type or place.group)
            members = self.spec.groups[group]
            begin, stop = self._room(members)
            self.groups[group] = begin, stop
            self.waiting.append((begin, members, _Place("", group, repeated=True)))
        return self.groups[group]

    def _field(self, row: list[int], field: Field, place: _Place) -> None:
        row[machine.OP : machine.P3 + 1] = self._width(field.width)
        number = _NUMBERS.get(field.encoding, NONE)
        if number and field.name in self.registers:
            row[machine.REGISTER], row[machine.ENCODING] = self.registers[field.name], number
            row[machine.LITTLE] = int(field.endianness == "little")
        symbol = Symbol(
            place.type, place.group, f"{place.path}.{field.name}" if place.path else field.name, field,
            None, field.semantic, place.repeated,
        )  # fmt: skip
        if not (field.elements or field.group):
            row[machine.SYMBOL] = self.leaf(symbol)
            if row[machine.OP] == machine.FIXED and row[machine.REGISTER] < 0:
                row[machine.OP] = machine.PLAIN
            return
        inner = place.below(field.name)
        row[machine.SYMBOL] = self.node(symbol)
        row[machine.BEGIN], row[machine.STOP] = self._inside(field.elements, field.group, inner)
        row[machine.INNER] = self.leaf(inner.symbol("payload"))

    def _width(self, width: Width) -> list[int]:
        """Return the operation and its parameters."""
        match width:
            case Fixed():
                return [machine.FIXED, min(width.size, _FAR), 0, 0, 0]
            case FromLength():
                bias = max(min(width.bias, _FAR), -_FAR)
                return [machine.FROM_LENGTH, self.registers[width.field], width.scale, bias, _ORIGINS[width.origin]]
            case Delimited():
                longest_first = sorted(set(width.delimiters), key=lambda d: (-len(d), d))
                table = self.pool.add(part for d in longest_first if d for part in (self.pool.text(d), len(d)))
                count = sum(map(bool, longest_first))
                return [machine.DELIMITED, table, count, int(width.include), int(width.required)]
            case Run():
                return [machine.RUN, 1 << CLASSES.index(width.of), 0, 0, int(width.required)]
            case SelfDelimiting():
                return [machine.SELF_DELIMITING, _FORMS[width.form], 0, 0, 0]
        return [machine.REST, min(width.at_most or _FAR, _FAR), 0, 0, 0]

    def _repeat(self, row: list[int], repeat: Repeat, place: _Place) -> None:
        inner = place.below(repeat.name, repeated=repeat.maximum > 1)
        row[machine.OP] = machine.REPEAT
        row[machine.P0 : machine.P2 + 1] = self._stop(repeat.stop)
        row[machine.SYMBOL] = self.node(
            Symbol(place.type, place.group, inner.path, None, repeat, repeated=inner.repeated)
        )
        row[machine.BEGIN], row[machine.STOP] = self._inside(repeat.elements, repeat.group, inner)
        row[machine.MAXIMUM] = repeat.maximum

    def _stop(self, stop: Stop) -> list[int]:
        if isinstance(stop, Times):
            return [machine.TIMES, self.registers[stop.field], max(min(stop.bias, _FAR), -_FAR)]
        if isinstance(stop, Until):
            return [machine.UNTIL, self.pool.text(stop.bytes), len(stop.bytes)]
        return [machine.TO_END, 0, 0]

    def _switch(self, row: list[int], switch: Switch, place: _Place) -> None:
        inner = place.below("")
        chosen: dict[int, int] = {}
        for case in switch.cases:
            target = self.pool.add(self._inside(case.elements, case.group, inner))
            for value in case.values:
                if -(1 << 63) <= value < 1 << 64:
                    chosen.setdefault(value, target)
        row[machine.OP] = machine.SWITCH
        row[machine.P0], row[machine.P1] = self.registers[switch.field], wrapped(switch.mask)
        row[machine.P2], row[machine.P3] = self._case_table(chosen), int(switch.mask != -1)
        row[machine.BEGIN], row[machine.STOP] = self.block(switch.default, inner)

    def _case_table(self, chosen: dict[int, int]) -> int:
        """Write the values that fit an int64 and their targets, then the higher ones and theirs."""
        table: list[int] = []
        for high in (False, True):
            values = sorted(value for value in chosen if (value >= 1 << 63) == high)
            table += [len(values), *map(wrapped, values), *(chosen[value] for value in values)]
        return self.pool.add(table)


def _referenced(spec: ProtocolSpec) -> set[str]:
    """Return the names of the fields that others depend on."""
    known: set[str] = set()
    wanted: set[str] = set()
    for elements in (*(t.elements for t in spec.types), *spec.groups.values()):
        for element in walk(elements):
            if isinstance(element, Field):
                known.add(element.name)
            wanted.update(_references(element))
    missing = sorted(wanted - known)
    if missing:
        raise SpecError(f"no field '{missing[0]}' to depend on", where=spec.protocol)
    return wanted


def _references(element: Element) -> Iterator[str]:
    if isinstance(element, Switch):
        yield element.field
    elif isinstance(element, Repeat) and isinstance(element.stop, Times):
        yield element.stop.field
    elif isinstance(element, Field) and isinstance(element.width, FromLength):
        yield element.width.field
