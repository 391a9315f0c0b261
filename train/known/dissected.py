"""What tshark says of each message of a capture: protocol, leaf fields that are bytes of the message, type."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple
from xml.etree.ElementTree import Element, ParseError, iterparse

from ...discovery.errors import InputError

CARRIERS = frozenset(re.findall(r"\S+", """
    arp_frame bootp data eth ethertype fake-field-wrapper frame geninfo ip ipv6 llc malformed null raw sctp sll tcp
    tcp.segments tpkt udp vlan"""))  # fmt: skip
CONTENT = frozenset(re.findall(r"\S+", """
    ber cms data-text-lines gss-api image-gif image-jfif image-png json media mime_multipart ntlmssp pkcs1 pkix1explicit
    pkix1implicit png sdp spnego spnego-krb5 urlencoded-form x509af x509ce x509if x509sat xml"""))  # fmt: skip
TIMEOUT = 600.0
TYPE_LABEL = re.compile(
    r"((message|msg|packet|pdu|frame|request|control|command|exchange)[ _-]?)?(type|code|id)|"
    r"op(eration)?[ _-]?code|function([ _-]code)?|func_code|command([ _-](code|id))?|cmd|(request[ _-])?method|"
    r"service([ _-](code|id))?|verb",
    re.IGNORECASE,
)
SURE_LABEL = re.compile(r"message|msg|packet|pdu|op|func|command|cmd|method|service", re.IGNORECASE)
BITS = re.compile(r"^[01. ]+ = ")
MOST_TYPE_BYTES = 8
MATCHED = 0.75  # of a protocol's fields, that must equal the bytes of a message for it to be where they were read


@dataclass(frozen=True)
class Leaf:
    """A field at ``start``, of ``length`` bytes; ``#part`` names bytes of a field that no inner field covers."""

    name: str
    start: int
    length: int


@dataclass(frozen=True)
class Dissected:
    """
    What tshark says of one message.

    Attributes:
        protocol: the innermost one, what many protocols carry (JSON, certificates …) left out.
        leaves: in order, without overlap; empty where no field could be found in the message's bytes.
        msg_type: value of the field that tells the type, as tshark shows it; empty where none is obvious.
        reassembled: whether tshark read it in a later packet than that in which it begins.
    """

    protocol: str
    leaves: tuple[Leaf, ...] = ()
    msg_type: str = ""
    reassembled: bool = False

    def boundaries(self, length: int) -> list[int]:
        """Return where fields begin and end inside a message of this length."""
        ends = {b for leaf in self.leaves for b in (leaf.start, leaf.start + leaf.length)}
        return sorted(b for b in ends if 0 < b < length)


class Wanted(NamedTuple):
    """A message to be found: its row, its bytes, the frame (from 1) that it begins in and its place in that frame."""

    row: int
    payload: bytes
    frame: int
    part: int


def dissect(path: Path, wanted: dict[int, list[Wanted]]) -> Iterator[tuple[int, Dissected]]:
    """
    Yield what tshark says of messages, packet after packet; one packet's dissection is held at a time.

    Args:
        wanted: frame number → the messages that begin in it. Changed: those that tshark reads in a later packet, where
            they end, are passed on to it, and what was found is taken out.

    Raises:
        FileNotFoundError: tshark is not installed.
        InputError: it cannot read the file, or takes longer than ``TIMEOUT`` seconds.
    """
    for packet in _packets(path):
        number = int(_shown(packet, "frame.number") or 0)
        here = wanted.pop(number, [])
        later = int(_shown(packet, "tcp.reassembled_in") or 0)
        used: set[int] = set()
        for one in sorted(here, key=lambda one: (one.frame, one.part)):
            found = _message(packet, one.payload, used, one.frame != number)
            if later > number and (found is None or not found.leaves):
                wanted.setdefault(later, []).append(one)
            elif found is not None:
                yield one.row, found


def _shown(packet: Element, name: str) -> str | None:
    found = next((field for field in packet.iter("field") if field.get("name") == name), None)
    return None if found is None else found.get("show")


def _packets(path: Path) -> Iterator[Element]:
    with _running(path) as output:
        root: Element | None = None
        for event, element in iterparse(output, ("start", "end")):
            if root is None:
                root = element
            if event == "end" and element.tag == "packet":
                yield element
                root.clear()


@contextmanager
def _running(path: Path) -> Iterator[IO[bytes]]:
    """Give the output of tshark, two passes (the first tells where segments end up), and see to its end."""
    program = shutil.which("tshark")
    if program is None:
        raise FileNotFoundError(2, "not installed", "tshark")
    command = [program, "-n", "-2", "-r", str(path), "-T", "pdml"]
    late = threading.Event()
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said) as process:

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(TIMEOUT, end)
        timer.start()
        assert process.stdout is not None
        broken: ParseError | None = None
        try:
            yield process.stdout
        except ParseError as error:
            broken = error
        finally:
            timer.cancel()
            process.kill() if broken or process.poll() is None else None
        process.wait()
        if late.is_set():
            raise InputError(f"tshark took longer than {TIMEOUT:g} s", where=str(path), hint="split the capture")
        if broken is not None:
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip().splitlines()
            raise InputError(words[-1] if words else f"tshark's output ends early: {broken}", where=str(path))


def _message(packet: Element, payload: bytes, used: set[int], reassembled: bool) -> Dissected | None:
    """Return what a packet says of a message in it; of several alike ones the first that is not ``used`` yet."""
    protocols = [proto for proto in packet.findall("proto") if not _carries(proto)]
    inner = _names(protocols)
    if not inner:
        return None
    for index in range(len(protocols)):
        leaves = [] if index in used else _begins(protocols[index], payload)
        if leaves:
            mine = _from(protocols, index, len(payload))
            used.update(mine)
            for other in mine[1:]:
                _leaves(protocols[other], int(protocols[index].get("pos", 0)), payload, leaves)
            members = [protocols[k] for k in mine]
            name = [*inner[:1], *_names(members)][-1]
            return Dissected(name, _apart(leaves), _type_of(members), reassembled)
    return Dissected(inner[-1])


def _names(protocols: Sequence[Element]) -> list[str]:
    return [proto.get("name", "") for proto in protocols if proto.get("name") not in CONTENT]


def _begins(proto: Element, payload: bytes) -> list[Leaf]:
    """Return the leaves of a protocol where a message begins with it, else none."""
    leaves: list[Leaf] = []
    right, read = _leaves(proto, int(proto.get("pos", 0)), payload, leaves)
    return leaves if right and right >= MATCHED * read else []


def _carries(proto: Element) -> bool:
    name = proto.get("name", "")
    return name.lower() in CARRIERS or name.startswith("_ws")


def _from(protocols: Sequence[Element], first: int, length: int) -> list[int]:
    """Return the protocols from the first on that lie in the message that it begins."""
    start = int(protocols[first].get("pos", 0))
    return [k for k, proto in enumerate(protocols) if k >= first and start <= int(proto.get("pos", 0)) < start + length]


def _leaves(element: Element, base: int, payload: bytes, leaves: list[Leaf]) -> tuple[int, int]:
    """Add the leaves of a tree; return how many had the bytes of the message, and how many there were."""
    right = read = 0
    inner = [child for child in element if int(child.get("size") or 0) and child.get("hide") != "yes"]
    if not inner and element.tag == "proto":
        return 0, 0
    if not inner:
        return _leaf(element, base, payload, leaves), 1
    before = len(leaves)
    for child in inner:
        more = _leaves(child, base, payload, leaves)
        right, read = right + more[0], read + more[1]
    if right:
        leaves.extend(_parts(element, base, len(payload), leaves[before:]))
    return right, read


def _leaf(field: Element, base: int, payload: bytes, leaves: list[Leaf]) -> int:
    start, length = int(field.get("pos", 0)) - base, int(field.get("size", 0))
    text = field.get("unmaskedvalue") or field.get("value") or ""
    if start < 0 or start + length > len(payload) or payload[start : start + length].hex() != text:
        return 0
    leaves.append(Leaf(field.get("name") or "text", start, length))
    return 1


def _parts(element: Element, base: int, size: int, inner: Sequence[Leaf]) -> Iterator[Leaf]:
    at = max(int(element.get("pos", 0)) - base, 0)
    end = min(int(element.get("pos", 0)) - base + int(element.get("size") or 0), size)
    name = (element.get("name") or "text") + "#part"
    for leaf in sorted(inner, key=lambda leaf: leaf.start):
        if at < leaf.start <= end:
            yield Leaf(name, at, leaf.start - at)
        at = max(at, leaf.start + leaf.length)
    if at < end:
        yield Leaf(name, at, end - at)


def _apart(leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
    """Return leaves without overlap: shorter ones first, since a range that holds others is no leaf."""
    taken: set[int] = set()
    kept = []
    for leaf in sorted(leaves, key=lambda leaf: (leaf.length, leaf.name.endswith("#part"))):
        covered = range(leaf.start, leaf.start + leaf.length)
        if taken.isdisjoint(covered):
            taken.update(covered)
            kept.append(leaf)
    return tuple(sorted(kept, key=lambda leaf: leaf.start))


def _type_of(protocols: Sequence[Element]) -> str:
    """Return the values of the field that tells the type, the innermost protocol's; a response flag behind it."""
    for proto in reversed(protocols):
        shallow = [field for field in _shallow(proto) if field.get("hide") != "yes"]
        telling = _telling(shallow)
        if telling:
            answers = [field.get("show", "") for field in shallow if field.get("name", "").endswith("flags.response")]
            return "/".join([telling[0].get("show", ""), *answers[:1]])
    return ""


def _telling(fields: Sequence[Element]) -> list[Element]:
    """Return the fields that are called a type, those that say of what alone where there are such."""
    named = [field for field in fields if TYPE_LABEL.fullmatch(_label(field)) and _narrow(field)]
    return [field for field in named if SURE_LABEL.match(_label(field))] or named


def _shallow(proto: Element) -> Iterator[Element]:
    """Yield the fields of a protocol and those one level inside them: deeper ones tell of items, not of the message."""
    for field in proto.findall("field"):
        yield field
        yield from field.findall("field")


def _narrow(field: Element) -> bool:
    return 0 < int(field.get("size") or 0) <= MOST_TYPE_BYTES and bool(field.get("show"))


def _label(field: Element) -> str:
    return BITS.sub("", field.get("showname") or field.get("show") or "").partition(":")[0].strip()
