"""ParseTree: one parsed message as nodes with byte ranges and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..spec import Field
from .symbols import Symbol
from .values import Value, to_json

UNPARSED = "unparsed"
_UNREAD = Symbol("", "", UNPARSED, semantic="unknown")


class Node:
    """
    A field, an item of a repeat, or bytes that could not be read (``unparsed``).

    Attributes:
        start, length: byte range, from the start of the message.
        symbol: what it stands for in the specification.
        item: index of the item in the innermost repeat around it, or of the item itself.
        children: of a region or an item, in order; None of a leaf.
    """

    __slots__ = ("_message", "_value", "children", "item", "length", "start", "symbol")

    def __init__(
        self, symbol: Symbol, start: int, length: int, item: int, children: list[Node] | None, message: bytes
    ) -> None:
        self.symbol = symbol
        self.start = start
        self.length = length
        self.item = item
        self.children = children
        self._message = message

    @property
    def name(self) -> str:
        """Name of the field; of an item of a repeat, ``name[index]``."""
        return self.symbol.name if self.symbol.repeat is None else f"{self.symbol.name}[{self.item}]"

    @property
    def semantic(self) -> str:
        """Meaning of the field."""
        return self.symbol.semantic

    @property
    def field(self) -> Field | None:
        """The field, None for items, for the unnamed rest of a region and for unread bytes."""
        return self.symbol.field

    @property
    def raw(self) -> bytes:
        """The bytes."""
        return self._message[self.start : self.start + self.length]

    @property
    def value(self) -> Value:
        """The value of a leaf, decoded when it is asked for (see ``values.reader``); settable, for ``Parser.build``."""
        edited = self.edited
        if edited is not None:
            return edited
        return self.symbol.read(self._message[self.start : self.start + self.length])

    @value.setter
    def value(self, value: Value) -> None:
        """Set another value."""
        self._value = value

    @property
    def edited(self) -> Value | None:
        """The value that was set, None where none was."""
        # The slot stays empty until it is set: a tree has many nodes, and few are ever edited.
        return getattr(self, "_value", None)

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.start}, {self.length})"


class ParseTree:
    """
    One message, parsed.

    Attributes:
        message: its bytes.
        type_name: name of its type, ``unknown`` where no type's guards hold.
        error: why it does not fit its type, None where it does; error_offset: from which byte on, -1 where it does.
        nodes: the fields, in order; what could not be read is one last node ``unparsed``.
        position: offset of the message in its stream, and partial: whether that ended inside it; 0 and False outside
            of a stream.
    """

    __slots__ = ("error", "error_offset", "message", "nodes", "partial", "position", "status", "type_name")

    def __init__(
        self, message: bytes, type_name: str, status: int, error: str | None, error_offset: int, nodes: list[Node]
    ) -> None:
        self.message = message
        self.type_name = type_name
        self.status = status
        self.error = error
        self.error_offset = error_offset
        self.nodes = nodes
        self.position = 0
        self.partial = False

    def __repr__(self) -> str:
        error = f", error at {self.error_offset}: {self.error!r}" if self.error else ""
        return f"ParseTree({self.type_name!r}, {len(self.message)} bytes{error})"

    @property
    def ok(self) -> bool:
        """Whether the message has a type and fits it."""
        return self.error is None

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Yield every node with its depth, parents before children."""
        waiting = [(0, node) for node in reversed(self.nodes)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting.extend((depth + 1, child) for child in reversed(node.children or ()))

    def leaves(self) -> Iterator[Node]:
        """Yield the leaves in order, empty ones included; together they cover the message."""
        return (node for _, node in self.walk() if node.children is None)

    def find(self, path: str) -> Node | None:
        """Return the first node at a dotted path of names, for instance ``body.entries[1].value``."""
        nodes: Sequence[Node] = self.nodes
        found = None
        for name in path.split("."):
            found = next((node for node in nodes if node.name == name), None)
            if found is None:
                return None
            nodes = found.children or ()
        return found

    def values(self) -> dict[str, Any]:
        """Return the fields by name: values, dicts of regions, lists of dicts of repeats."""
        return _fields(self.nodes, lambda value: value)

    def to_dict(self) -> dict[str, Any]:
        """Return type, error, error offset (None where the message fits) and fields, as JSON holds them."""
        return {
            "type": self.type_name,
            "error": self.error,
            "error_offset": None if self.error is None else self.error_offset,
            "fields": _fields(self.nodes, to_json),
        }


def free_key(name: str, taken: dict[str, Any]) -> str:
    """Return a name that is not taken yet: fields of a group may bear the names of those around it."""
    while name in taken:
        name += "_"
    return name


def _fields(nodes: Sequence[Node], convert: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    items: list[Any] = []
    for node in nodes:
        symbol, children = node.symbol, node.children
        if symbol.repeat is not None:
            if node.item == 0:
                items = fields[free_key(symbol.repeat.name, fields)] = []
            items.append(_fields(children or (), convert))
        else:
            name = symbol.name if symbol.name not in fields else free_key(symbol.name, fields)
            fields[name] = convert(node.value) if children is None else _fields(children, convert)
    return fields


def grow(
    message: bytes, leaves: Sequence[Sequence[int]], symbols: Sequence[Symbol], nodes: Sequence[Symbol], error: int
) -> list[Node]:
    """
    Return the top nodes of a message from what the machine wrote.

    Args:
        leaves: rows, symbols, starts, lengths, items and levels of its leaves and inner nodes, in reading order.
        symbols: of leaves; nodes: of inner nodes; error: offset from which the message does not fit, -1 where it does.
    """
    top: list[Node] = []
    levels: list[list[Node]] = [top]
    inner: list[Node] = []
    for symbol, start, length, item, level in zip(*leaves[1:], strict=True):
        if symbol >= 0:
            levels[level].append(Node(symbols[symbol], start, length, item, None, message))
        elif symbol == -1:
            top.append(Node(_UNREAD, start, length, 0, None, message))
        else:
            children: list[Node] = []
            node = Node(nodes[-2 - symbol], start, length, item, children, message)
            levels[level].append(node)
            levels[level + 1 :] = [children]
            inner.append(node)
    for node in reversed(inner):
        if node.symbol.repeat is not None:
            last = node.children[-1] if node.children else node
            node.length = last.start + last.length - node.start
        elif error >= 0:
            node.length = min(node.length, error - node.start)
    return top
