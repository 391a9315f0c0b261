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
    Delimited, Element, Field, Fixed, FromLength, ProtocolSpec, Repeat, Run, SelfDelimiting, Stop, Switch, Times,
    Until, Width, walk,
)  # fmt: skip
from . import dispatch, machine
from .guards import GuardTables
from .numbers import BER_LENGTH, INT, LEB128, NONE, UINT
from .pool import Pool, wrapped
from .symbols import Symbol
from .widths import CLASSES

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
        tables: elements (int64, n × 14), guards (int64, n × 8), pool (int64), text (uint8), all read-only.
        scratch: number of registers and of guard slots (int64, 2).
        symbols: by symbol id of a leaf, from 0.
        nodes: regions and items of repeats; node ``k`` has the symbol id ``-2 - k``.
        names: name of the element of each row of the table of elements.
    """

    tables: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]
    scratch: NDArray[np.int64]
    symbols: list[Symbol]
    nodes: list[Symbol]
    names: list[str]


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
        self.rows: list[list[int]] = []
        self.names: list[str] = []
        self.symbols: list[Symbol] = []
        self.nodes: list[Symbol] = []
        self.groups: dict[str, tuple[int, int]] = {}
        self.waiting: list[tuple[int, Sequence[Element], _Place]] = []
        self.registers = {name: index for index, name in enumerate(sorted(_referenced(spec)))}

    def program(self) -> Program:
        guards = GuardTables(self.spec.types, self.pool)
        blocks: list[int] = []
        for message_type in self.spec.types:
            place = _Place(message_type.name, "")
            blocks += self.block(message_type.elements, place)
            blocks.append(-1 if message_type.elements else self.leaf(place.symbol("payload")))
        while self.waiting:
            self._fill(*self.waiting.pop())
        self.pool.numbers[dispatch.TYPE_BLOCKS] = self.pool.add(blocks)
        numbers, text = self.pool.arrays()
        elements = np.array(self.rows, np.int64).reshape(-1, machine.COLUMNS)
        tables = (elements, guards.array(), numbers, text)
        for table in tables:
            table.flags.writeable = False
        scratch = np.array([max(len(self.registers), 1), guards.slots], np.int64)
        return Program(tables, scratch, self.symbols, self.nodes, self.names)

    def leaf(self, symbol: Symbol) -> int:
        self.symbols.append(symbol)
        return len(self.symbols) - 1

    def node(self, symbol: Symbol) -> int:
        self.nodes.append(symbol)
        return -1 - len(self.nodes)

    def block(self, elements: Sequence[Element], place: _Place) -> tuple[int, int]:
        """Write the rows of elements, one after the other; return the first and the one after the last."""
        begin = self._room(elements)
        self._fill(begin, elements, place)
        return begin, begin + len(elements)

    def _room(self, elements: Sequence[Element]) -> int:
        begin = len(self.rows)
        self.rows += [[0] * machine.COLUMNS for _ in elements]
        self.names += [element.name for element in elements]
        return begin

    def _fill(self, begin: int, elements: Sequence[Element], place: _Place) -> None:
        reserve = 0
        for index in reversed(range(len(elements))):
            element = elements[index]
            row = self.rows[begin + index]
            row[machine.RESERVE] = reserve
            row[machine.REGISTER] = row[machine.INNER] = -1
            if isinstance(element, Field) and isinstance(element.width, Fixed):
                reserve = min(reserve + element.width.size, _FAR)
        for index, element in enumerate(elements):
            row = self.rows[begin + index]
            if isinstance(element, Field):
                self._field(row, element, place)
            elif isinstance(element, Repeat):
                self._repeat(row, element, place)
            else:
                self._switch(row, element, place)

    def _inside(self, elements: Sequence[Element], group: str | None, place: _Place) -> tuple[int, int]:
        """Return the block of a region, an item or a case; that of a group is written once."""
        if group is None:
            return self.block(elements, place)
        if group not in self.groups:
            if group not in self.spec.groups:
                raise SpecError(f"no group '{group}'", where=place.type or place.group)
            members = self.spec.groups[group]
            begin = self._room(members)
            self.groups[group] = begin, begin + len(members)
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
        return [machine.REST, 0, 0, 0, 0]

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
