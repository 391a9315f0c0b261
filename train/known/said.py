"""What generators of known protocols share: the form of what is said, and words to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

ASKS, ANSWERS = 1, 2

Said = tuple[int, bytes]
"""Direction (1 to the server, 2 to the client) and payload of one message."""

Talk = Callable[[Random], Iterator[Said]]
"""Draws the messages that one site says in one protocol; the same random state draws the same messages."""

WORDS = (
    "alpha",
    "backup",
    "boiler",
    "branch",
    "cache",
    "camera",
    "canary",
    "cdn",
    "cloud",
    "collector",
    "control",
    "data",
    "depot",
    "dev",
    "device",
    "edge",
    "energy",
    "events",
    "example",
    "factory",
    "feed",
    "files",
    "finance",
    "gate",
    "gateway",
    "grid",
    "harbor",
    "home",
    "host",
    "hub",
    "images",
    "index",
    "inbox",
    "intranet",
    "lab",
    "laptop",
    "level",
    "line",
    "login",
    "mail",
    "market",
    "meter",
    "metrics",
    "mobile",
    "monitor",
    "motor",
    "news",
    "node",
    "north",
    "office",
    "order",
    "panel",
    "plant",
    "play",
    "pool",
    "portal",
    "press",
    "printer",
    "pump",
    "queue",
    "relay",
    "report",
    "rest",
    "router",
    "sales",
    "scan",
    "search",
    "sensor",
    "server",
    "shop",
    "site",
    "south",
    "static",
    "station",
    "status",
    "stock",
    "store",
    "stream",
    "sync",
    "system",
    "tank",
    "task",
    "team",
    "temp",
    "test",
    "time",
    "tower",
    "track",
    "update",
    "user",
    "valve",
    "video",
    "vision",
    "voice",
    "warehouse",
    "web",
    "west",
)
TOPS = ("com", "org", "net", "de", "io", "local", "example", "edu", "co.uk", "fr", "lan")


def word(rng: Random) -> str:
    """Return a word, sometimes with a number behind it."""
    made = rng.choice(WORDS)
    return f"{made}{rng.randrange(1, 100)}" if rng.random() < 0.25 else made


def host(rng: Random) -> str:
    """Return a host name of two to four labels."""
    labels = [word(rng) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    return ".".join([*labels, rng.choice(TOPS)])


def sentence(rng: Random, most: int = 12) -> str:
    """Return some words."""
    return " ".join(word(rng) for _ in range(rng.randint(1, most)))


def ipv4(rng: Random) -> str:
    """Return an IPv4 address, mostly of a private network."""
    first = rng.choice(("10", "192.168", "172.16", None))
    rest = [str(rng.randint(1, 254)) for _ in range(4)]
    return ".".join(rest) if first is None else ".".join((first.split(".") + rest)[:4])


def ipv6(rng: Random) -> str:
    """Return a link-local or global IPv6 address."""
    tail = ":".join(f"{rng.getrandbits(16):x}" for _ in range(4))
    return f"fe80::{tail}" if rng.random() < 0.5 else f"2001:db8:{rng.getrandbits(12):x}:{rng.getrandbits(8):x}:{tail}"


def mac(rng: Random) -> str:
    """Return an Ethernet address under one of a few makers' prefixes."""
    prefix = rng.choice(("00:0c:29", "00:50:56", "00:1b:21", "08:00:27", "b8:27:eb", "00:80:f4", "28:63:36"))
    return prefix + "".join(f":{rng.getrandbits(8):02x}" for _ in range(3))
