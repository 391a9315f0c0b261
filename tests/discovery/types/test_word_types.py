"""Types of text: commands and replies, not the tags, senders, times or addresses around them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import find_types

VERBS = ["LOGIN", "select", "Fetch", "NOOP"]


def tagged(rng: Random) -> tuple[str, str]:
    """Return a command behind a tag that counts, in any case (RFC 3501)."""
    verb = rng.choice(VERBS)
    return f"a{rng.randrange(1000):03d} {verb} box{rng.randrange(99)}\r\n", verb.upper()


def sent(rng: Random) -> tuple[str, str]:
    """Return a command or a numeric reply behind its sender (RFC 2812)."""
    verb = rng.choice(["PRIVMSG", "JOIN", "372", "353"])
    return f":n{rng.randrange(5)}!u@host.example {verb} #room{rng.randrange(99)} word{rng.randrange(99)}\r\n", verb


def addressed(rng: Random) -> tuple[str, str]:
    """Return a request for an address that begins alike in all of them (RFC 2326)."""
    verb = rng.choice(["SETUP", "PLAY", "DESCRIBE"])
    return f"{verb} rtsp://cam/{rng.randrange(999)} RTSP/1.0\r\nCSeq: {rng.randrange(999)}\r\n\r\n", verb


def replied(rng: Random) -> tuple[str, str]:
    """Return a reply of three digits and words."""
    code = rng.choice(["200", "354", "550"])
    return f"{code} item {rng.randrange(999)} of {rng.randrange(99)}\r\n", code


def named(rng: Random) -> tuple[str, str]:
    """Return a command behind a mark, for one of few names."""
    verb = rng.choice(["GET", "SET", "DEL", "LIST"])
    name = rng.choice(["alpha", "beta", "gamma", "delta"])
    return f"${verb} {name} {rng.randrange(999)}\r\n", verb


def numbered(rng: Random) -> tuple[str, str]:
    """Return a command for one of few numbers."""
    verb = rng.choice(["read", "write", "poll"])
    return f"{verb} {rng.choice([4, 12, 1024])} {rng.randrange(999)}\r\n", verb


@pytest.mark.parametrize("speak", [tagged, sent, addressed, replied, named, numbered], ids=lambda speak: speak.__name__)
def test_commands_make_types(speak: Callable[[Random], tuple[str, str]]):
    """Messages of one command have one type, and those of another have another."""
    rng = Random(2)
    verbs = dict(speak(rng) for _ in range(160))
    messages = [text.encode() for text in verbs]
    sample = StatisticalAnalyzer(DiscoverySettings()).analyze(MessageBatch.from_payloads(messages)).sample()
    types = find_types(sample, DiscoverySettings()).assign(sample.view)
    pairs = {(verbs[sample.view.payload(row).decode()], int(types[row])) for row in range(len(sample.view))}
    assert len(pairs) == len({verb for verb, _ in pairs}) == len({number for _, number in pairs})


def test_a_day_is_no_type():
    """The numbers of a time stamp divide no messages."""
    rng = Random(3)
    messages = [
        f"<{rng.choice([13, 30])}>Mar {rng.randint(1, 9):2d} 10:{rng.randrange(60):02d}:00 gate cron: job {n}".encode()
        for n in range(120)
    ]
    sample = StatisticalAnalyzer(DiscoverySettings()).analyze(MessageBatch.from_payloads(messages)).sample()
    types = find_types(sample, DiscoverySettings()).assign(sample.view)
    assert len(set(types.tolist())) == 2
