"""Text protocols that are spoken here by the book are laid out as their specifications divide them."""

from __future__ import annotations

import codecs
import re
import xmlrpc.client
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from random import Random

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.layout.wording import bits_saved, code_length
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser

Fields = list[bytes]
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "theta", "kappa", "lambda", "omicron", "quick", "brown", "fox"]
END = b"\r\n"
with redirect_stdout(StringIO()):
    import this
ZEN = re.findall(r"[A-Za-z']+", codecs.decode(this.s, "rot13"))


def spaced(*parts: str) -> Fields:
    """Return words with the blanks between them, and a line end."""
    return [*[piece for part in parts for piece in (part.encode(), b" ")][:-1], END]


def prose(rng: Random, least: int = 2, most: int = 7) -> str:
    """Return some words of a text that people wrote."""
    start = rng.randrange(len(ZEN) - most)
    return " ".join(ZEN[start : start + rng.randint(least, most)])


def pop3(rng: Random) -> Fields:
    """Return a command or a one-line reply (RFC 1939)."""
    number = str(rng.randint(1, 40))
    return rng.choice([
        spaced("USER", rng.choice(WORDS) + number), spaced("RETR", number), spaced("DELE", number), spaced("NOOP"),
        spaced("TOP", number, str(rng.randint(0, 20))), spaced("+OK", prose(rng)), spaced("-ERR", prose(rng)),
    ])  # fmt: skip


def sip(rng: Random) -> Fields:
    """Return a request or a response: a first line, header lines, sometimes a body (RFC 3261)."""
    user, call = rng.choice(WORDS), rng.randrange(10**6)
    first = spaced(rng.choice(["INVITE", "BYE", "REGISTER"]), f"sip:{user}@example.com", "SIP/2.0")
    if rng.random() < 0.5:
        first = spaced("SIP/2.0", *rng.choice([("200", "OK"), ("404", "Missing"), ("180", "Ringing")]))
    headers = [
        f"Via: SIP/2.0/UDP 10.0.0.{rng.randint(1, 99)};branch=z9hG4bK{call}",
        f"From: <sip:{user}@example.com>;tag={call}",
        f"Call-ID: {call}@10.0.0.7", f"CSeq: {rng.randint(1, 99)} INVITE", "Max-Forwards: 70",
    ]  # fmt: skip
    body = [f"v=0\r\no={user} {call} 1 IN IP4 10.0.0.7\r\n".encode()] if rng.random() < 0.3 else []
    return first + [header.encode() + END for header in headers[: rng.randint(3, 5)]] + [END, *body]


def syslog(rng: Random) -> Fields:
    """Return a message with priority, time, host and tag (RFC 3164)."""
    moment = datetime(2024, 3, 1) + timedelta(seconds=rng.randrange(10**6))
    host, tag = rng.choice(["gate", "db-1", "web2"]), f"{rng.choice(['sshd', 'cron', 'kernel'])}[{rng.randrange(999)}]"
    stamp = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}"
    return [b"<%d>" % rng.randrange(192), *(p.encode() for p in (stamp, " ", host, " ", tag, ": ", prose(rng, 3, 12)))]


def irc(rng: Random) -> Fields:
    """Return a line with a source, a command, arguments, and a last argument behind a colon (RFC 2812)."""
    nick, channel = rng.choice(WORDS), f"#{rng.choice(WORDS)}"
    command = rng.choice(
        [["PRIVMSG", channel], ["JOIN", channel], ["MODE", channel, "+o", nick], ["KICK", channel, nick]]
    )
    words = spaced(*command)[:-1]
    if rng.random() < 0.6:
        words = [b":", f"{nick}!u@host".encode(), b" ", *words]
    return [*words, *([b" :", prose(rng).encode()] if command[0] in ("PRIVMSG", "KICK") else []), END]


def markup(rng: Random) -> Fields:
    """Return an element with attributes around an element with text, as in XMPP (RFC 6120)."""
    to, text = rng.choice(WORDS), prose(rng)
    return [
        b"<message", b" ", f"to='{to}@example.com'".encode(), b" ", f"id='{rng.randrange(10**6):x}'".encode(), b">",
        b"<body>", text.encode(), b"</body>", b"</message>",
    ]  # fmt: skip


def nmea(rng: Random) -> Fields:
    """Return a sentence of values between commas (NMEA 0183)."""
    values = [
        rng.choice(["$GPGLL", "$GPVTG"]), f"{rng.uniform(0, 9000):.2f}", "N", f"{rng.uniform(0, 9000):.2f}", "E",
        f"{rng.randrange(240000):06d}", "A",
    ]  # fmt: skip
    return [*[piece for value in values for piece in (value.encode(), b",")][:-1], END]


PROTOCOLS: dict[Callable[[Random], Fields], float] = {
    pop3: 0.9, sip: 0.97, syslog: 0.95, irc: 0.9, markup: 0.95, nmea: 0.95,
}  # fmt: skip


def score(messages: Sequence[Fields]) -> tuple[float, list[bytes]]:
    """Return the mean F1 of boundaries over distinct messages, and which payloads were not explained."""
    payloads = list(dict.fromkeys(b"".join(fields) for fields in messages))
    truth = {b"".join(fields): fields for fields in messages}
    batch = MessageBatch.from_payloads(payloads)
    parsed = Parser(ProtocolDiscoveryOrchestrator().discover(batch).spec).parse_batch(batch.view())
    total = 0.0
    for row, payload in enumerate(payloads):
        starts, at = set(), 0
        for field in truth[payload][:-1]:
            starts.add(at := at + len(field))
        found = set(parsed.boundaries(row).tolist())
        total += 2 * len(starts & found) / max(len(starts) + len(found), 1)
    return total / len(payloads), [payload for row, payload in enumerate(payloads) if not parsed.explained[row]]


@pytest.mark.parametrize("speak", PROTOCOLS, ids=lambda speak: speak.__name__)
def test_spoken_protocols(speak):
    """Each protocol is divided where its specification divides it, in most messages, and all of them parse."""
    rng = Random(7)
    f1, unexplained = score([speak(rng) for _ in range(150)])
    assert f1 > PROTOCOLS[speak]
    assert not unexplained


def test_header_block_before_binary():
    """A header block is laid out though most messages go on with bytes that are no text."""
    rng = Random(3)

    def message() -> Fields:
        body = rng.randbytes(rng.randint(20, 90))
        headers = [b"Content-Type: image/gif\r\n", b"Content-Length: %d\r\n" % len(body), b"Server: demo/1\r\n"]
        return [*spaced("HTTP/1.1", "200", "OK"), *headers, END, body]

    f1, _ = score([message() for _ in range(60)])
    assert f1 > 0.97


def test_prose_is_not_divided_word_by_word():
    """A line of many words gets at most its first word, the rest and its end."""
    rng = Random(5)
    payloads = [prose(rng, 6, 20).encode() + END for _ in range(80)]
    batch = MessageBatch.from_payloads(payloads)
    parsed = Parser(ProtocolDiscoveryOrchestrator().discover(batch).spec).parse_batch(batch.view())
    assert max(len(parsed.boundaries(row)) for row in range(len(payloads))) <= 3


def test_calls_in_markup():
    """The tags of calls that another implementation writes (XML-RPC) are fields."""
    rng = Random(6)
    calls = [xmlrpc.client.dumps((rng.randrange(99), rng.choice(WORDS)), rng.choice(WORDS)).encode() for _ in range(60)]
    batch = MessageBatch.from_payloads(calls)
    parsed = Parser(ProtocolDiscoveryOrchestrator().discover(batch).spec).parse_batch(batch.view())
    assert parsed.explained.all()
    tags = (b"<methodCall>", b"<methodName>", b"<params>", b"</methodCall>")
    assert all(calls[0].index(tag) in parsed.boundaries(0) for tag in tags)


def test_columns_that_repeat_save_bits():
    """Words that recur beside words that recur are worth a column each; the words of distinct sentences are not."""
    rng = Random(2)
    ones, others = rng.choices(WORDS, k=64), rng.choices([w[::-1] for w in WORDS], k=64)
    wholes = [f"{one} {other}".encode() for one, other in zip(ones, others, strict=True)]
    assert bits_saved(wholes, [w.encode() for w in ones], [w.encode() for w in others]) > 0
    random = [rng.randbytes(20) for _ in range(32)]
    assert bits_saved(random, [r[:7] for r in random], [r[7:] for r in random]) < 0
    assert code_length([b"same"] * 20) < 2 * code_length([b"same"])
