"""Export to a Wireshark dissector in Lua: the specification as tables, and a reader that fills the packet tree."""

from __future__ import annotations

from importlib.resources import files

from ..spec import (
    DelimiterFraming,
    DirectedFraming,
    FixedFraming,
    Framing,
    HeaderFraming,
    LengthFraming,
    ProtocolSpec,
)
from .tables import Call, lower_spec

WIDTH = 110
RUNTIME = ("wireshark_reader.lua", "wireshark_packets.lua", "wireshark_streams.lua")
"""What reads a message, what shows it in the packet tree, what cuts a stream into messages; each uses those before."""
SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:;=+-*/()<>!?@#%&|")


def to_wireshark(spec: ProtocolSpec) -> str:
    """
    Return a Lua script for Wireshark 4: ``tshark -X lua_script:dissector.lua``.

    It registers on the specification's carrier (UDP or TCP port, EtherType, IP protocol), or on link-layer type USER0
    where there is none. Strings and bytes are rendered as Lua literals in which everything but plain ASCII is a
    decimal escape, so nothing of the traffic becomes code.
    """
    types, groups = lower_spec(spec)
    runtime = [files(__package__).joinpath(part).read_text(encoding="utf-8") for part in RUNTIME]
    carrier = spec.carrier
    tables = [
        f"-- Dissector of the protocol {spec.protocol}, specification {spec.id or 'partial'}, version {spec.version}.",
        "-- TCP segments out of order are put right by Wireshark only with -o tcp.reassemble_out_of_order:TRUE.",
        f"local PROTOCOL = {literal(spec.protocol)}",
        f"local CARRIER = {render(None if carrier is None else {'kind': carrier.kind, 'number': carrier.number}, 0)}",
        f"local FRAMING = {render(_framing(spec.framing), 0)}",
        f"local GROUPS = {render(groups, 0)}",
        f"local TYPES = {render(types, 0)}",
    ]
    return "\n".join(tables) + "\n\n" + "\n".join(runtime)


def _framing(framing: Framing) -> dict[str, object]:
    if isinstance(framing, DirectedFraming):
        return {
            "kind": "directed", "client": _framing(framing.client_to_server),
            "server": _framing(framing.server_to_client),
        }  # fmt: skip
    if isinstance(framing, LengthFraming):
        return {
            "kind": "length", "offset": framing.offset, "width": framing.width, "scale": framing.scale,
            "bias": framing.bias, "little": framing.endianness == "little", "encoding": framing.encoding,
            "mask": framing.mask if framing.mask >= 0 else None,
        }  # fmt: skip
    if isinstance(framing, DelimiterFraming):
        return {"kind": "delimiter", "delimiter": framing.delimiter, "opening": framing.opening}
    if isinstance(framing, HeaderFraming):
        return {"kind": "header", "stop": framing.end, "name": framing.name.lower()}
    if isinstance(framing, FixedFraming):
        return {"kind": "fixed", "size": framing.size}
    return {"kind": framing.kind}


def render(value: object, indent: int) -> str:
    """Render a lowered value as a Lua expression, on one line where it fits, else one item a line."""
    line = _line(value)
    if len(line) + indent <= WIDTH:
        return line
    inner = indent + 2
    pad = "\n" + " " * inner
    parts = [prefix + render(item, inner) for prefix, item in _parts(value)]
    if not parts:
        return line
    return "{" + "".join(f"{pad}{part}," for part in parts) + "\n" + " " * indent + "}"


def _line(value: object) -> str:
    if isinstance(value, (Call, list, dict)):
        return "{" + ", ".join(prefix + _line(item) for prefix, item in _parts(value)) + "}"
    return literal(value)


def _parts(value: object) -> list[tuple[str, object]]:
    if isinstance(value, Call):
        named = [(f"{key} = ", item) for key, item in value.arguments if item is not None]
        return [("is = ", value.name), *named]
    if isinstance(value, dict):
        return [(f"[{literal(key)}] = ", item) for key, item in value.items()]
    if isinstance(value, list):
        return [("", item) for item in value]
    return []


def literal(value: object) -> str:
    """Render a scalar as a Lua literal."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    data = value if isinstance(value, bytes) else str(value).encode("utf-8")
    return '"' + "".join(chr(byte) if byte in SAFE else f"\\{byte:03d}" for byte in data) + '"'
