"""Text families: commands and replies, header blocks, key and value lines, separated values, counted bulk strings."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .message import Message, World
from .strings import WORDS, draw_opaque, word_bytes

REASONS = [b"OK", b"Not Found", b"ready", b"Command okay, continue", b"Service closing", b"User name okay", b"Denied"]


def _words(rng: Random, count: int) -> bytes:
    return b" ".join(word_bytes(rng) for _ in range(count))


def _host(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return b".".join(b"%d" % rng.randrange(1, 255) for _ in range(4))
    return ".".join(rng.choices(WORDS, k=rng.randint(2, 3))).encode()


def _address(rng: Random) -> bytes:
    """Return a path, an address of mail or telephony, or a whole resource locator."""
    path = b"/" + "/".join(rng.choices(WORDS, k=rng.randint(0, 5))).encode()
    port = b":%d" % rng.randrange(80, 60000) if rng.random() < 0.3 else b""
    query = b"?" + _parameters(rng, b"&") if rng.random() < 0.2 else b""
    scheme = rng.choice([b"http://", b"rtsp://", b"urn:", b"sip:"])
    person = b"<" + word_bytes(rng, 1) + b"@" + _host(rng) + b">"
    forms = [path + query, scheme + _host(rng) + port + path, person, b"*"]
    return rng.choice([forms[0], *forms])


def _parameters(rng: Random, glue: bytes) -> bytes:
    made = []
    for _ in range(rng.randint(1, 4)):
        told = word_bytes(rng, 1) if rng.random() < 0.6 else rng.randbytes(5).hex().encode()
        made.append(rng.choice(WORDS).encode() + b"=" + told)
    return glue.join(made)


def _date(rng: Random) -> bytes:
    day, month, clock = rng.randint(1, 28), rng.choice(["Jan", "Mar", "Jul", "Oct"]), rng.randrange(86400)
    time = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
    forms = [f"Tue, {day:02} {month} 2014 {time} GMT", f"{month} {day:2} {time}", f"2014-07-{day:02}T{time}Z"]
    return rng.choice(forms).encode()


def _product(rng: Random) -> bytes:
    name = rng.choice(WORDS).title().encode()
    return name + b"/%d.%d (" % (rng.randrange(9), rng.randrange(20)) + _words(rng, 3) + b")"


def value(rng: Random) -> bytes:
    """Return what stands after a key: words, addresses, dates, numbers, parameters, codes, lists."""
    return rng.choice(VALUES)(rng)


VALUES: list[Callable[[Random], bytes]] = [
    lambda rng: _words(rng, rng.choice([1, 1, 2, 4])), _address, _address, _date, _host,
    lambda rng: b"%d" % rng.randrange(10 ** rng.randint(1, 7)),
    lambda rng: word_bytes(rng, 1) + b";" + rng.choice([b"", b" "]) + _parameters(rng, b";"),
    lambda rng: _parameters(rng, b", "), lambda rng: base64.b64encode(rng.randbytes(rng.randint(6, 30))),
    lambda rng: ", ".join("/".join(rng.choices(WORDS, k=2)) for _ in range(rng.randint(1, 4))).encode(),
    _product,
    lambda rng: b'"' + _words(rng, rng.randint(1, 3)) + b'"', lambda rng: rng.randbytes(16).hex().encode(),
]  # fmt: skip


@dataclass
class Text:
    """The vocabulary of one line protocol and the shape of its messages."""

    style: str
    verbs: list[bytes]
    keys: list[bytes]
    blank: bytes
    colon: bytes
    end: bytes
    trailer: bytes
    whole_lines: bool
    whole_arguments: bool
    asks: float
    body: float
    data: float
    content: Callable[[Random, int], bytes]
    kind: int = 0

    def emit(self, message: Message) -> int:
        """Write one message and return its type: of its verb or status (other styles have one), or of bare content."""
        message.world.direction = 1 + (message.rng.random() >= self.asks)
        self.kind = 0
        if message.rng.random() < self.data:
            message.put(self.content(message.rng, message.rng.choice([8, 60, 300, 1000])), "payload")
            return len(self.verbs) + 10
        STYLES[self.style](self, message)
        return self.kind

    def line(self, message: Message) -> None:
        """Write a command or a reply line."""
        (self._command if message.world.direction == 1 else self._reply)(message)
        message.put(self.end)

    def _command(self, message: Message) -> None:
        rng = message.rng
        self.kind = rng.randrange(len(self.verbs))
        message.put(self.verbs[self.kind], "command")
        count = rng.choice([0, 1, 1, 2, 3])
        if self.whole_arguments and count:
            message.put(self.blank)
            message.put(self.blank.join(word_bytes(rng, 2) for _ in range(count)), "string")
            return
        for _ in range(count):
            message.put(self.blank)
            argument = _address(rng) if rng.random() < self.body else word_bytes(rng)
            message.put(argument.replace(b" ", b"+"), "string")
        message.put(self.trailer and self.blank)
        message.put(self.trailer)

    def _reply(self, message: Message) -> None:
        rng = message.rng
        if self.trailer:
            message.put(self.trailer)
            message.put(self.blank)
        status = rng.randrange(100, 600)
        self.kind = len(self.verbs) + status // 100
        message.put(str(status).encode(), "status")
        message.put(rng.choice([self.blank, self.blank, b"-"]))
        message.put(rng.choice(REASONS) if rng.random() < 0.5 else _words(rng, rng.randint(1, 5)))

    def headers(self, message: Message) -> None:
        """Write a first line, header lines, an empty line, and sometimes a body."""
        rng = message.rng
        self.line(message)
        for key in self.keys[: rng.randint(1, len(self.keys))]:
            self._pair(message, key)
        message.put(self.end)
        if rng.random() < self.body:
            glue = rng.choice([b" ", self.end])
            message.put(glue.join(_words(rng, rng.randint(1, 6)) for _ in range(rng.choice([1, 3, 12, 40]))), "payload")

    def _pair(self, message: Message, key: bytes) -> None:
        told = value(message.rng)
        if self.whole_lines:
            message.put(key + self.colon + told + self.end)
            return
        for part in (key, self.colon, told, self.end):
            message.put(part)

    def pairs(self, message: Message) -> None:
        """Write keys and values, a line each."""
        for key in message.rng.sample(self.keys, message.rng.randint(1, len(self.keys))):
            self._pair(message, key)

    def separated(self, message: Message) -> None:
        """Write values with a separator between them."""
        glue = self.colon.strip() or b","
        for index in range(message.rng.randint(2, 7)):
            message.put(glue if index else b"")
            message.put(word_bytes(message.rng, 1))
        message.put(self.end)

    def bulk(self, message: Message) -> None:
        """Write counted strings: a line with a sign and a length, the string, a line end."""
        rng = message.rng
        count = rng.randint(1, 4)
        message.put(b"*%d" % count + self.end if rng.random() < 0.7 else b"", "count")
        for _ in range(count):
            value = word_bytes(rng)
            message.put(b"$%d" % len(value) + self.end, "length")
            message.put(value, "string")
            message.put(self.end)

    def lines(self, message: Message) -> None:
        """Write several commands or replies."""
        for _ in range(message.rng.choice([1, 1, 1, 2, 3, 8])):
            self.line(message)

    def whole(self, message: Message) -> None:
        """Write a first line of tokens and then lines that are one field each."""
        self.line(message)
        rng = message.rng
        for _ in range(rng.choice([0, 0, 1, 3, 8])):
            message.put((value(rng) if rng.random() < 0.5 else _words(rng, rng.randint(1, 6))) + self.end)

    def prose(self, message: Message) -> None:
        """Write a marker and then a line nobody takes apart, or only that line."""
        rng = message.rng
        if self.whole_arguments:
            priority = b"<%d>" % rng.randrange(192)
            message.put(priority if self.whole_lines else rng.choice(self.verbs) + self.colon, "tag")
        words = [
            rng.choice([word_bytes(rng), value(rng), rng.choice(self.keys) + self.colon])
            for _ in range(rng.randint(3, 30))
        ]
        text = self.blank.join(words)
        message.put(text + rng.choice([b"", self.end]), "payload")

    def prefixed(self, message: Message) -> None:
        """Write lines of an optional source, a verb, arguments, and a last argument after a colon."""
        rng = message.rng
        for _ in range(rng.choice([1, 1, 2, 4])):
            if message.world.direction == 2:
                message.put(b":" + rng.choice(self.keys).lower())
                message.put(b" ")
            self._command(message)
            if rng.random() < 0.6:
                message.put(b" :")
                message.put(_words(rng, rng.randint(1, 8)), "string")
            message.put(self.end)

    def markup(self, message: Message) -> None:
        """Write elements of markup with attributes and text."""
        rng = message.rng
        for _ in range(rng.randint(1, 4)):
            name = rng.choice(self.keys).lower()
            message.put(b"<" + name)
            for _ in range(rng.randint(0, 3)):
                message.put(b" ")
                message.put(rng.choice(self.verbs).lower() + b'="' + word_bytes(rng) + b'"')
            message.put(b">")
            message.put(word_bytes(rng) if rng.random() < 0.6 else b"")
            message.put(b"</" + name + b">")

    def document(self, message: Message) -> None:
        """Write braces or tags around names and values, in the manner of JSON."""
        rng = message.rng
        message.put(b"{")
        for index in range(rng.randint(1, 5)):
            message.put(b", " if index else b"")
            message.put(b'"' + rng.choice(self.keys) + b'"')
            message.put(b": ")
            message.put(str(rng.randrange(10000)).encode() if rng.random() < 0.5 else b'"' + word_bytes(rng) + b'"')
        message.put(b"}")


STYLES: dict[str, Callable[[Text, Message], None]] = {
    "lines": Text.lines, "headers": Text.headers, "pairs": Text.pairs, "separated": Text.separated,
    "bulk": Text.bulk, "whole": Text.whole, "document": Text.document, "prose": Text.prose, "prefixed": Text.prefixed,
    "markup": Text.markup,
}  # fmt: skip


def make(rng: Random, world: World) -> Text:
    """Draw a text protocol."""
    style = rng.choices(list(STYLES), [5, 6, 1, 1, 1, 3, 0.5, 1.2, 1, 0.6])[0]
    case: Callable[[str], str] = rng.choice([str.upper, str.upper, str.lower, str.title])
    keys = [
        "-".join(rng.choices(WORDS, k=rng.randint(1, 2))).title().encode()
        for _ in range(rng.choice([3, 6, 8, 12, 16, 24]))
    ]
    return Text(
        style=style,
        verbs=[case(word)[: rng.randint(3, 8)].encode() for word in rng.choices(WORDS, k=8)],
        keys=list(dict.fromkeys(keys)),
        blank=rng.choice([b" ", b" ", b" ", b" ", b"\t", b"|"]),
        colon=rng.choice([b": ", b": ", b":", b"=", b","]),
        end=rng.choice([b"\r\n", b"\r\n", b"\r\n", b"\n"]),
        trailer=rng.choice([b"", b"", b"HTTP/1.1", b"X/2"]) if style == "headers" else b"",
        whole_lines=rng.random() < 0.75,
        whole_arguments=rng.random() < 0.4,
        asks=rng.choice([0.5, 0.55, 0.8, 0.97]),
        body=rng.choice([0, 0.2, 0.5]),
        data=rng.choice([0, 0, 0.1, 0.3]),
        content=draw_opaque(rng),
    )
