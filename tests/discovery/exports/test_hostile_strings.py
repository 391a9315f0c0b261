"""Strings and bytes from traffic never become code, markup or an invalid document in any export."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qbitel.discovery.errors import NotFoundError
from qbitel.discovery.exports import FORMATS, export
from qbitel.discovery.spec import (
    Constant,
    Delimited,
    Enum,
    Field,
    Fixed,
    MessageType,
    ProtocolSpec,
    Rest,
    TokenGuard,
    ValueGuard,
)  # fmt: skip

HOSTILE_BYTES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from(
        [b'"]]os', b"'''", b'\\"\n', b"--[[", b"]]--", b"\\0\\", b"${x}", b"%s%n", b"</a>", b"#{1}", b"\\u{}"]
    ),
)
HOSTILE_LABELS = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    st.sampled_from(['"""', "'''", "\\", '");os.exit(1)--', "]]", "<b>&amp;", "${HOME}", "*/", '\\"']),
)


def spec_with(label: str, token: bytes, delimiter: bytes, value: bytes) -> ProtocolSpec:
    """A specification with these strings at every place that traffic can reach."""
    return ProtocolSpec(
        protocol="hostile",
        types=[
            MessageType(
                name="t0",
                label=label,
                guards=[TokenGuard(values=[token], separators=delimiter)],
                elements=[
                    Field(name="a", width=Delimited(delimiters=[delimiter]), constraints=[Enum(values=[value])]),
                    Field(name="b", width=Rest(), constraints=[Constant(value=value)]),
                ],
            ),
            MessageType(
                name="t1",
                label=label,
                guards=[ValueGuard(offset=0, width=1, values=[value[:1]])],
                elements=[Field(name="a", width=Fixed(size=1))],
            ),
        ],
    )


SPECS = st.builds(spec_with, HOSTILE_LABELS, HOSTILE_BYTES, HOSTILE_BYTES, HOSTILE_BYTES)


@given(spec=SPECS)
@settings(max_examples=60, deadline=None)
def test_python_export_is_only_tables_and_the_reader(spec: ProtocolSpec) -> None:
    """The module parses, and its tables hold nothing but literals and calls of the known constructors."""
    tree = ast.parse(export(spec, "python"))
    tables = [
        n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") in ("TYPES", "GROUPS")
    ]
    assert len(tables) == 2
    allowed = (ast.Call, ast.Name, ast.Load, ast.Constant, ast.List, ast.Dict, ast.keyword, ast.UnaryOp, ast.USub)
    known = {"Type", "Field", "Value", "Token", "Delimited", "Fixed", "Rest"}
    for table in tables:
        for node in ast.walk(table.value):
            assert isinstance(node, allowed), ast.dump(node)
            if isinstance(node, ast.Name):
                assert node.id in known


@given(spec=SPECS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_dissector_loads_in_tshark(
    spec: ProtocolSpec, in_tshark: Callable[[str, Sequence[bytes]], list[list[tuple[int, int]]]]
) -> None:
    """Lua accepts the script and the dissector covers every byte of a message."""
    message = b"some message"
    (leaves,) = in_tshark(export(spec, "wireshark"), [message])
    assert sum(length for _, length in leaves) == len(message)


@given(spec=SPECS)
@settings(max_examples=60, deadline=None)
def test_json_schema_is_valid(spec: ProtocolSpec) -> None:
    """The document is JSON and a valid schema of draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(json.loads(export(spec, "json-schema")))


@given(spec=SPECS)
@settings(max_examples=6, deadline=None)
def test_graph_is_drawn_by_graphviz(spec: ProtocolSpec) -> None:
    """Graphviz reads the graph."""
    dot = shutil.which("dot")
    if dot is None:
        pytest.skip("graphviz is not installed (Debian package graphviz; CI installs it)")
    done = subprocess.run([dot, "-Tsvg"], input=export(spec, "dot").encode(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", ["", "a b", "1x", "x-y", "os.system", "é", "a" * 65, "x\n", "]]"])
def test_names_outside_the_allow_list_are_refused(name: str) -> None:
    """No name that could mean something in a target language gets into a specification."""
    with pytest.raises(ValidationError):
        Field(name=name, width=Rest())


def test_unknown_export_is_named() -> None:
    """Asking for an export that does not exist lists those that do."""
    with pytest.raises(NotFoundError, match="python"):
        export(ProtocolSpec(), "cobol")
    assert set(FORMATS) == {"python", "wireshark", "json-schema", "dot"}
