# The reader of the tables below: no dependency beyond the standard library.
import sys
from collections import namedtuple

Type = namedtuple("Type", "name label guards elements", defaults=("", (), ()))
Field = namedtuple(
    "Field", "name width encoding endianness semantic elements group", defaults=(None, "unknown", (), None)
)
Repeat = namedtuple("Repeat", "name stop elements group maximum", defaults=((), None, 65536))
Switch = namedtuple("Switch", "name field mask cases default", defaults=((),))
Case = namedtuple("Case", "values elements group", defaults=((), None))
Value = namedtuple("Value", "offset width mask values", defaults=(None, ()))
Length = namedtuple("Length", "minimum maximum")
Token = namedtuple("Token", "index separators fold_case values", defaults=(False, ()))
Text = namedtuple("Text", "bytes")
Fixed = namedtuple("Fixed", "size")
FromLength = namedtuple("FromLength", "field scale bias origin")
Delimited = namedtuple("Delimited", "delimiters include required", defaults=(False, False))
Run = namedtuple("Run", "of required", defaults=(False,))
SelfDelimiting = namedtuple("SelfDelimiting", "form")
Rest = namedtuple("Rest", "at_most", defaults=(None,))
ToEnd = namedtuple("ToEnd", "")
Times = namedtuple("Times", "field bias")
Until = namedtuple("Until", "bytes")
Leaf = namedtuple("Leaf", "path start length semantic value")

MAX_DEPTH, MAX_LEAVES = 128, 65536
CLASSES = {
    "space": b" \t",
    "digit": b"0123456789",
    "letter": bytes((*range(65, 91), *range(97, 123))),
    "alnum": bytes((*range(48, 58), *range(65, 91), *range(97, 123))),
    "printable": bytes(range(32, 127)),
    "zero": b"\0",
    "ff": b"\xff",
}


# The tables, filled in below.
GROUPS, TYPES = {}, []


class Malformed(ValueError):
    """The message does not fit its type from byte ``offset`` on."""

    def __init__(self, offset, reason):
        super().__init__(f"byte {offset}: {reason}")
        self.offset = offset


def length_holds(guard, message):
    """Return whether the message has as many bytes as the guard allows."""
    return guard.minimum <= len(message) and (guard.maximum is None or len(message) <= guard.maximum)


def text_holds(guard, message):
    """Return whether the front of the message is printable."""
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in message[: guard.bytes])


def token_holds(guard, message):
    """Return whether the token of the guard's index is one of its values."""
    same = bytes.maketrans(guard.separators, guard.separators[:1] * len(guard.separators))
    tokens = [token for token in message.translate(same).split(guard.separators[:1]) if token]
    token = tokens[guard.index] if guard.index < len(tokens) else None
    return token is not None and (token.upper() if guard.fold_case else token) in guard.values


def value_holds(guard, message):
    """Return whether the masked bytes at the guard's offset are one of its values."""
    start = guard.offset if guard.offset >= 0 else len(message) + guard.offset
    part = message[start : start + guard.width] if start >= 0 else b""
    if guard.mask is not None and len(part) == guard.width:
        part = bytes(a & b for a, b in zip(part, guard.mask, strict=True))
    return len(part) == guard.width and part in guard.values


GUARDS = {Length: length_holds, Text: text_holds, Token: token_holds, Value: value_holds}


class Reader:
    """Reads one message along the elements of its type."""

    def __init__(self, message):
        self.message, self.leaves, self.numbers, self.ends, self.depth = message, [], {}, {}, 0

    def read(self, elements, cursor, end, path):
        for position, element in enumerate(elements):
            kind = type(element)
            if kind is Field:
                cursor = self.field(element, elements[position + 1 :], cursor, end, path)
            elif kind is Repeat:
                cursor = self.repeat(element, elements[position + 1 :], cursor, end, path)
            else:
                case = self.case(element, cursor)
                cursor = self.enter(case, cursor, end, path)
        return cursor

    def enter(self, holder, cursor, end, path):
        if self.depth >= MAX_DEPTH:
            raise Malformed(cursor, "nested too deeply")
        self.depth += 1
        elements = GROUPS[holder.group] if getattr(holder, "group", None) else holder.elements
        cursor = self.read(elements, cursor, end, path)
        self.depth -= 1
        return cursor

    def number(self, name, cursor):
        if name not in self.numbers:
            raise Malformed(cursor, f"{name} was not read")
        return self.numbers[name]

    def case(self, switch, cursor):
        value = self.number(switch.field, cursor)
        if switch.mask != -1:
            value &= switch.mask
        for case in switch.cases:
            if value in case.values:
                return case
        return Case((), switch.default)

    def width(self, field, following, cursor, end):
        width, kind = field.width, type(field.width)
        if kind is Fixed:
            return width.size
        if kind is Rest:
            left = end - cursor - sum(map(fixed_width, following))
            return left if width.at_most is None else min(left, width.at_most)
        if kind is FromLength:
            return self.from_length(width, cursor)
        if kind is SelfDelimiting:
            return SELF_DELIMITING[width.form](self.message, cursor, end)
        measure = delimited if kind is Delimited else run
        size = measure(width, self.message, cursor, end)
        if size is None:
            raise Malformed(cursor, f"{field.name} has no end" if kind is Delimited else f"{field.name} is empty")
        return size

    def from_length(self, width, cursor):
        amount = self.number(width.field, cursor) * width.scale + width.bias
        if width.origin == "message":
            return amount - cursor
        return amount if width.origin == "self" else self.ends[width.field] + amount - cursor

    def field(self, field, following, cursor, end, path):
        size = self.width(field, following, cursor, end)
        if size < 0 or cursor + size > end:
            raise Malformed(cursor, f"{field.name} does not fit")
        stop = cursor + size
        value = decode(field, self.message[cursor:stop])
        if isinstance(value, int):
            self.numbers[field.name], self.ends[field.name] = value, stop
        name = (*path, field.name)
        if field.elements or field.group:
            after = self.enter(field, cursor, stop, name)
            self.leaf(name, after, stop, "payload", None)
        else:
            self.leaf(name, cursor, stop, field.semantic, value)
        return stop

    def leaf(self, path, start, stop, semantic, value):
        if len(self.leaves) >= MAX_LEAVES:
            raise Malformed(start, "too many fields")
        if stop > start:
            self.leaves.append(Leaf(".".join(path), start, stop - start, semantic, value))

    def repeat(self, repeat, following, cursor, end, path):
        limit, items = end - sum(map(fixed_width, following)), 0
        counted = isinstance(repeat.stop, Times)
        wanted = self.number(repeat.stop.field, cursor) + repeat.stop.bias if counted else repeat.maximum
        if not 0 <= wanted <= repeat.maximum:
            raise Malformed(cursor, f"{wanted} items of {repeat.name}")
        while items < wanted and (counted or self.goes_on(repeat.stop, cursor, limit)):
            before = cursor
            cursor = self.enter(repeat, cursor, limit, (*path, repeat.name))
            items += 1
            if cursor == before and not counted:
                raise Malformed(cursor, f"{repeat.name} reads nothing")
        return cursor

    def goes_on(self, stop, cursor, limit):
        if isinstance(stop, Until) and self.message.startswith(stop.bytes, cursor):
            return False
        return cursor < limit


def fixed_width(element):
    """Return the bytes that an element always takes."""
    return element.width.size if isinstance(element, Field) and isinstance(element.width, Fixed) else 0


def delimited(width, message, cursor, end):
    """Return the bytes up to the first delimiter (of several at one place the longest), None where one is missing."""
    found = [(at, -len(d)) for d in width.delimiters if (at := message.find(d, cursor, end)) >= 0]
    if not found:
        return None if width.required else end - cursor
    at, negative = min(found)
    return at - cursor - (negative if width.include else 0)


def run(width, message, cursor, end):
    """Return the length of the run of a class of bytes, None where one is required and missing."""
    members, stop = CLASSES[width.of], cursor
    while stop < end and message[stop] in members:
        stop += 1
    return None if stop == cursor and width.required else stop - cursor


def ber_length(message, cursor, end):
    """Return the width of X.690 length octets."""
    long = cursor < end and message[cursor] & 0x80
    return 1 + (message[cursor] & 0x7F if long else 0)


def ber_tag(message, cursor, end):
    """Return the width of X.690 identifier octets."""
    if cursor < end and message[cursor] & 0x1F != 0x1F:
        return 1
    return 1 + varint(message, cursor + 1, end, 8)


def varint(message, cursor, end, most=9):
    """Return the width of a base-128 number; ``most`` is how many bytes may ask for another one."""
    at = cursor
    while at < end and message[at] & 0x80 and at - cursor < most:
        at += 1
    return at + 1 - cursor


def labels(message, cursor, end):
    """Return the width of a name of length-prefixed labels, up to a zero byte or a pointer."""
    at = cursor
    while at < end and 0 < message[at] < 0xC0:
        at += message[at] + 1
    return at + (2 if at < end and message[at] >= 0xC0 else 1) - cursor


SELF_DELIMITING = {"ber_length": ber_length, "ber_tag": ber_tag, "leb128": varint, "labels": labels}


def decode(field, data):
    """Return the value of a field: a number, text or bytes."""
    order = field.endianness or "big"
    if field.encoding in ("uint", "int"):
        return int.from_bytes(data, order, signed=field.encoding == "int") if len(data) <= 8 else data
    if field.encoding == "ber_length":
        return int.from_bytes(data[1:], "big") if data[0] & 0x80 else data[0]
    if field.encoding == "leb128":
        return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data))
    return data


def parse(message):
    """Return (type name, leaves, error): the leaves in order, and None or the Malformed that ended the reading."""
    for kind in TYPES:
        if all(GUARDS[type(guard)](guard, message) for guard in kind.guards):
            break
    else:
        return "unknown", [Leaf("unknown", 0, len(message), "unknown", message)], None
    reader, error, cursor = Reader(message), None, 0
    try:
        cursor = reader.read(kind.elements, 0, len(message), ())
    except Malformed as malformed:
        error, cursor = malformed, malformed.offset
    if cursor < len(message):
        reader.leaves.append(Leaf("unparsed", cursor, len(message) - cursor, "unknown", message[cursor:]))
        error = error or Malformed(cursor, "bytes left over")
    return kind.name, reader.leaves, error


def main():
    """Parse messages given as lines of hexadecimal digits on standard input."""
    for line in sys.stdin:
        name, leaves, error = parse(bytes.fromhex(line.strip()))
        print(name, f"({error})" if error else "")
        for leaf in leaves:
            print(f"  {leaf.start:5} {leaf.length:5}  {leaf.path:32} {leaf.value!r}")
