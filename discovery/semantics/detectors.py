"""
Detectors: what the values of one field may mean, the surest meaning first.

Each takes a ``Context`` and returns a proposal or None; ``PLAIN``, then ``DETECTORS`` is their order. A proposal that
the messages refute makes way for the next detector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..spec import (
    Address,
    Constant,
    Encoding,
    Enum,
    Field,
    Fixed,
    Flags,
    Opaque,
    Padding,
    Range,
    Rest,
    Semantic,
    Text,
)
from .judge import PAYLOAD, Proposal
from .profile import EMPTY, PADDED, TEXT, UNIFORM, UTF8, UTF16BE, UTF16LE, WIDEST_NUMBER, Profile

FEWEST = 5
MOST_VALUES = 16
# Rates of values above which they refute a meaning that is about nearly all of them.
_SEEN_BEFORE = 0.05  # identifiers that a message sent again repeats
_STRANGERS = 0.1  # addresses of others than the endpoints
_PUBLIC = 0.1  # addresses outside private networks
_FAR_OFF = 0.05  # floating-point values beyond the exponents that were seen
_UNLIKE = 0.05  # values of a uniform field that are not


@dataclass(frozen=True)
class Context:
    """
    One field and what is known around it.

    Attributes:
        field, profile: the field and its values.
        offset: bytes from the front of the message where they are the same in all messages of its type, else -1.
        last: nothing follows it in the message.
        little: the protocol's byte order, None where no number showed it.
        addresses: uint64, hashes of the endpoints' addresses of the sampled flows.
        everywhere: whether messages of all types have these bytes at this offset.
    """

    field: Field
    profile: Profile
    offset: int
    last: bool
    little: bool | None
    addresses: NDArray[np.uint64]
    everywhere: Callable[[int, bytes], bool]

    @property
    def is_number(self) -> bool:
        """Whether the values have one width of at most eight bytes."""
        return 0 < self.profile.width <= WIDEST_NUMBER

    @property
    def reads_little(self) -> bool:
        """Whether the field is read little-endian."""
        if self.field.endianness is not None:
            return self.field.endianness == "little"
        return bool(self.little)


Detector = Callable[[Context], Proposal | None]


def constant(context: Context) -> Proposal | None:
    """
    One value in all messages that have the field.

    Its meaning is that of a constant where messages of all types have these bytes in this place: what never changes in
    one type may well differ in others, or in other captures. The first field of a message, if not zero, is then its
    magic or, if small, its version.
    """
    profile = context.profile
    hashes, first, counts = profile.values
    if profile.count("n") < FEWEST or not profile.width:
        return None
    usual = int(np.argmax(counts))
    if counts[usual] < 0.98 * profile.count("n"):
        return None
    value = profile.leaves.bytes_of(int(first[usual]))
    holds = profile.leaves.hashes[profile.span] == hashes[usual]
    if context.last and len(value) > 1 and value == bytes(len(value)):
        return Proposal("padding", "padding", Padding(byte=0), holds)
    semantic: Semantic = "unknown"
    if context.offset >= 0 and context.everywhere(context.offset, value):
        semantic = _first_constant(value) if context.offset == 0 else "constant"
    return Proposal("constant", semantic, Constant(value=value), holds)


def _first_constant(value: bytes) -> Semantic:
    """Return what a constant is with which every message begins."""
    if any(value) and (len(value) > 1 or value[0] > 32):
        return "magic"
    return "version" if len(value) == 1 and 0 < value[0] <= 9 else "constant"


def padding(context: Context) -> Proposal | None:
    """Values of different lengths (or two and more bytes) that repeat one byte: zero, 0xff or a space."""
    profile = context.profile
    n = profile.count("n")
    filled = n - profile.count("empty")
    if filled < FEWEST or profile.count("uniform") < filled * 0.98 or profile.count("longest") < 2:
        return None
    starts, lengths = profile.leaves.starts[profile.span], profile.leaves.lengths[profile.span]
    heads = profile.leaves.data[np.where(lengths > 0, starts, 0)]
    byte = int(np.bincount(heads[lengths > 0], minlength=256).argmax())
    if byte not in (0, 255, 32):
        return None
    classes = profile.classes
    holds = (classes & EMPTY > 0) | ((classes & UNIFORM > 0) & (heads == byte))
    return Proposal("padding", "padding", Padding(byte=byte), holds)


_TEXTS: tuple[tuple[str, bytes | None, int, Encoding], ...] = (
    ("utf-16le", None, UTF16LE, "utf16"),
    ("utf-16be", None, UTF16BE, "utf16"),
    ("ascii", None, TEXT, "ascii"),
    ("utf-8", None, TEXT | UTF8, "utf8"),
    ("ascii", b"\0", TEXT | PADDED, "ascii"),
)


def text(context: Context) -> Proposal | None:
    """Printable values of three bytes and more on average (four, where the width is fixed), not all the same."""
    profile = context.profile
    n, empty = profile.count("n"), profile.count("empty")
    if n - empty < 3 or profile.count("bytes") < 3 * (n - empty) or profile.distinct < 2 or 0 < profile.width < 4:
        return None
    for charset, ending, bits, encoding in _TEXTS:
        holds = profile.classes & (bits | EMPTY) > 0
        if holds[~profile.held].mean() < 0.98 or (ending and profile.count("printable") < 3 * (n - empty)):
            continue
        constraint = Text(charset=charset, padding=ending)
        return Proposal("text", "text", constraint, holds, encoding=encoding, endianness=None)
    return None


def opaque(context: Context) -> Proposal | None:
    """
    Eight bytes and more whose byte counts are those of uniform bytes (chi-square below its mean plus four deviations).

    The test is repeated on the held-out leaves together. Each leaf alone fails where more of its bytes are alike than
    those of uniform bytes are.
    """
    profile = context.profile
    if profile.count("bytes") < 1024 or profile.count("bytes") < 8 * profile.count("n"):
        return None
    if not all(_looks_uniform(_histogram(profile, held)) for held in (False, True)):
        return None
    return Proposal(
        "opaque", "opaque", Opaque(), _few_alike(profile), epsilon=_UNLIKE,
        statement="no more bytes of a value are alike than of uniform ones", encoding="bytes", endianness=None,
    )  # fmt: skip


def _few_alike(profile: Profile) -> NDArray[np.bool_]:
    """
    Return the leaves without more pairs of equal bytes than uniform bytes have: their mean, four deviations and one.

    Of each leaf the first 256 bytes are read.
    """
    starts, lengths = profile.leaves.starts[profile.span], np.minimum(profile.leaves.lengths[profile.span], 256)
    alike = np.zeros(len(starts), np.int64)
    for first in range(0, len(starts), 1024):
        sizes = lengths[first : first + 1024]
        leaf = np.repeat(np.arange(len(sizes)), sizes)
        at = np.arange(len(leaf)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + starts[first + leaf]
        counts = np.bincount(leaf * 256 + profile.leaves.data[at], minlength=256 * len(sizes)).reshape(-1, 256)
        alike[first : first + 1024] = (counts * (counts - 1) // 2).sum(axis=1)
    expected = lengths * (lengths - 1) / 512
    holds: NDArray[np.bool_] = alike <= expected + 4 * np.sqrt(expected) + 1
    return holds


def _histogram(profile: Profile, held: bool) -> NDArray[np.int64]:
    chosen = np.flatnonzero(profile.held == held) + profile.span.start
    counts = np.zeros(256, np.int64)
    for leaf in chosen[:512]:
        start = profile.leaves.starts[leaf]
        counts += np.bincount(profile.leaves.data[start : start + profile.leaves.lengths[leaf]], minlength=256)
    return counts


def _looks_uniform(counts: NDArray[np.int64]) -> bool:
    total = int(counts.sum())
    if total < 512:
        return True
    chi_square = float((counts.astype(np.float64) ** 2).sum()) * 256 / total - total
    return bool(chi_square < 255 + 4 * np.sqrt(2 * 255))


def address(context: Context) -> Proposal | None:
    """Four, six or sixteen bytes that nearly all are addresses of the flows' endpoints, or private IPv4 addresses."""
    profile = context.profile
    forms: dict[int, Literal["ipv4", "mac", "ipv6"]] = {4: "ipv4", 6: "mac", 16: "ipv6"}
    if profile.width not in forms or profile.count("n") < FEWEST:
        return None
    known = np.isin(profile.values[0], context.addresses)
    if known.sum() >= 2 and profile.values[2][known].sum() >= (1 - _STRANGERS) * profile.count("n"):
        holds = np.isin(profile.leaves.hashes[profile.span], context.addresses)
        return Proposal(
            "address", "address", Address(form=forms[profile.width]), holds, epsilon=_STRANGERS,
            statement="is the address of an endpoint of a flow", encoding="bytes", endianness=None,
        )  # fmt: skip
    if profile.width != 4 or profile.distinct < 4:
        return None
    private, zero = _private(profile.matrix)
    if not _are_private(profile.matrix[~profile.held], private[~profile.held], zero[~profile.held]):
        return None
    return Proposal(
        "address", "address", Address(form="ipv4"), private | zero, epsilon=_PUBLIC,
        statement="is an IPv4 address that RFC 1918 sets aside, or zero", encoding="bytes", endianness=None,
    )  # fmt: skip


def _private(octets: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which are IPv4 addresses that RFC 1918 sets aside, and which are zero."""
    first, second = octets[:, 0], octets[:, 1]
    private = (first == 192) & (second == 168) | (first == 172) & (second >> 4 == 1) | (first == 10)
    return np.asarray(private, np.bool_), np.asarray(~octets.any(axis=1), np.bool_)


def _are_private(octets: NDArray[np.uint8], private: NDArray[np.bool_], zero: NDArray[np.bool_]) -> bool:
    """Return whether nearly all are private addresses, of different hosts, and not by their first byte alone."""
    first = octets[~zero, 0]
    varied = len(np.unique(octets[:, 3])) >= 4
    mixed = len(np.unique(first)) > 1 or bool(((first == 192) | (first == 172)).all())
    return bool(varied and mixed and (private | zero).mean() >= 1 - _PUBLIC and private.mean() >= 0.5)


def real(context: Context) -> Proposal | None:
    """Four or eight bytes whose floating-point values have moderate size and varied exponents."""
    profile = context.profile
    if profile.width not in (4, 8) or profile.distinct < 8:
        return None
    orders = ("little", "big") if context.little else ("big", "little")
    found = [_moderate(profile, order) for order in orders]
    shares = [float(moderate[~profile.held].mean()) for moderate in found]
    best = int(np.argmax(shares))
    if shares[best] < 1 - _FAR_OFF:
        return None
    return Proposal(
        "float", "float", None, found[best], epsilon=_FAR_OFF,
        statement="zero, or a finite number between the exponents of those that proposed it",
        encoding="float", endianness=orders[best],
    )  # fmt: skip


def _moderate(profile: Profile, order: str) -> NDArray[np.bool_]:
    """
    Return which values are zero or of a size between those of the proposing values of moderate size.

    None of them where the proposing ones are mostly zero, or their exponents do not vary.
    """
    kind = ("<" if order == "little" else ">") + ("f4" if profile.width == 4 else "f8")
    size = _sizes(np.ascontiguousarray(profile.matrix).view(kind).ravel())
    exponents = np.frexp(np.where(size > 0, size, 1.0))[1]
    moderate = (size >= 1e-4) & (size <= 1e8)
    proposing = exponents[moderate & ~profile.held]
    if len(proposing) * 2 < profile.count("n") or len(np.unique(proposing)) < 3:
        return np.zeros(len(size), np.bool_)
    inside = (exponents >= proposing.min()) & (exponents <= proposing.max())
    holds: NDArray[np.bool_] = (size == 0) | (moderate & inside)
    return holds


def _sizes(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return magnitudes, a negative number where a value is none or infinite."""
    with np.errstate(invalid="ignore"):
        sizes = np.abs(values.astype(np.float64))
        return np.where(np.isfinite(sizes), sizes, -1.0)


def bcd(context: Context) -> Proposal | None:
    """Two bytes and more whose nibbles are all decimal, in 16 values at least, with most digits in either half."""
    profile = context.profile
    if profile.width < 2 or profile.width > WIDEST_NUMBER or profile.distinct < 16:
        return None
    if profile.count("bcd") < profile.count("n"):
        return None
    octets = profile.matrix[~profile.held]
    if octets.shape[1] and (len(np.unique(octets >> 4)) < 5 or len(np.unique(octets & 15)) < 8):
        return None
    decimal: NDArray[np.bool_] = (profile.matrix >> 4 <= 9) & (profile.matrix & 15 <= 9)
    holds = np.asarray(decimal.all(axis=1), np.bool_)
    return Proposal("bcd", "bcd", None, holds, encoding="bcd")


def flags(context: Context) -> Proposal | None:
    """Few bits, most of them alone somewhere and several together elsewhere; numbers far apart, in either order."""
    profile = context.profile
    if not context.is_number or profile.width > 4 or not 4 <= profile.distinct <= 64 or profile.count("n") < 32:
        return None
    numbers = profile.numbers()
    values = np.unique(numbers[~profile.held])
    mask = int(np.bitwise_or.reduce(values))
    bits = np.bitwise_count(values)
    used, alone = mask.bit_count(), int((bits == 1).sum())
    together = int((bits > 1).sum())
    if not 3 <= used <= 3 + 3 * profile.width or 2 * alone < used or not together:
        return None
    turned = values.byteswap() >> np.uint64(64 - 8 * profile.width)  # a count's high byte may well be its last
    if min(int(values.max()), int(turned.max())) < 6 * len(values) or together > 2 * used:
        return None
    holds = (numbers & ~np.uint64(mask)) == 0
    return Proposal("flags", "flags", Flags(mask=mask.to_bytes(profile.width, "big")), holds)


def enum(context: Context) -> Proposal | None:
    """At most 16 values, each in eight messages on average."""
    profile = context.profile
    if not context.is_number or profile.distinct > min(MOST_VALUES, profile.count("n") // 8) or profile.distinct < 2:
        return None
    hashes, first, _ = profile.values
    values = sorted(profile.leaves.bytes_of(int(leaf)) for leaf in first)
    holds = np.isin(profile.leaves.hashes[profile.span], hashes)
    return Proposal("enum", "enum", Enum(values=values), holds)


def identifier(context: Context) -> Proposal | None:
    """Two to sixteen bytes, nearly all values different and every byte mixed."""
    profile = context.profile
    n = profile.count("n")
    if not 2 <= profile.width <= 16 or n < 16 or profile.distinct < (1 - _SEEN_BEFORE) * n:
        return None
    matrix = profile.matrix[~profile.held]
    expected = 256 * (1 - (1 - 1 / 256) ** len(matrix))
    ordered = np.sort(matrix, axis=0)
    spread = 1 + np.count_nonzero(ordered[1:] != ordered[:-1], axis=0)
    if int(spread.min()) < 0.6 * expected:
        return None
    return Proposal(
        "identifier", "identifier", None, _new(profile), epsilon=_SEEN_BEFORE, statement="a value not seen before"
    )


def _new(profile: Profile) -> NDArray[np.bool_]:
    """Return the leaves whose value none before them has; the proposing ones are before those that are held out."""
    order = np.argsort(profile.held, kind="stable")
    first = np.unique(profile.leaves.hashes[profile.span][order], return_index=True)[1]
    new = np.zeros(len(order), np.bool_)
    new[order[first]] = True
    return new


BOUNDED = 200  # values after which the next one outside their bounds is as rare as a refuted claim may be wrong


def integer(context: Context) -> Proposal | None:
    """A number between the bounds that were seen."""
    profile = context.profile
    if not context.is_number or profile.count("n") < FEWEST or profile.distinct < 2:
        return None
    if context.field.encoding not in ("uint", "int", "bytes") or profile.width > 4:
        return None
    numbers = profile.numbers(context.reads_little)
    seen = numbers[~profile.held]
    low, high = int(seen.min()), int(seen.max())
    if len(seen) < BOUNDED and min((seen == low).sum(), (seen == high).sum()) < 2:
        # The next of n + 1 values is outside with a chance of 2 / (n + 1).
        return Proposal("integer", "integer", untestable="any bytes are a number, and these are too few to bound it")
    holds = (numbers >= np.uint64(low)) & (numbers <= np.uint64(high))
    return Proposal("range", "integer", Range(minimum=low, maximum=high), holds)


def rest(context: Context) -> Proposal | None:
    """What no other detector names and has no fixed width is payload."""
    if isinstance(context.field.width, Fixed) and context.profile.width <= WIDEST_NUMBER:
        return None
    return Proposal("payload", "payload", untestable=PAYLOAD) if isinstance(context.field.width, Rest) else None


PLAIN: tuple[Detector, ...] = (constant, padding, text, address)  # before what flows say
DETECTORS: tuple[Detector, ...] = (real, bcd, flags, enum, opaque, identifier, integer, rest)
