"""``qbitel config``: what is set, from where, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qbitel.cluster.config import HIDDEN
from qbitel.cluster.settings import load_settings
from qbitel.discovery.errors import InputError

from .conftest import Run

KEY = "0123456789abcdef"


def test_what_is_changed_is_shown_with_its_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a table for people."""
    monkeypatch.setenv("QBITEL_PORT", "9001")
    rows = [
        line.split(maxsplit=2) for line in run("config", "show", "--changed", "--profile", "staging").stdout.split("\n")
    ]
    assert ["port", "9001", "QBITEL_PORT"] in [[each.strip() for each in row] for row in rows]
    assert ["gateways", "2", "profile staging"] in [[each.strip() for each in row] for row in rows]


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "many"), ("CORS_ORIGINS", "https://x"), ("PROFILE", "production"), ("MAX_BODY_BYTES", "3")],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """In one line, which does not repeat the value."""
    monkeypatch.setenv(f"QBITEL_{name}", value)
    for command in (["config", "show"], ["serve", "--port", "0"] if name != "PORT" else ["serve"]):
        told = run(*command, expect=3).stderr
        assert f"setting QBITEL_{name}:" in told and told.count("\n") == 1, told


def test_secrets_are_neither_shown_nor_told(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not by the command, not by the settings' text, not by an error about them."""
    (tmp_path / "qbitel_audit_key").write_text(KEY)
    monkeypatch.setenv("QBITEL_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("QBITEL_CATALOG", "postgresql://qbitel:hush-hush@db/qbitel")
    shown = run("config", "show", "--json").stdout
    told = {each["name"]: each["value"] for each in json.loads(shown)}
    assert told["audit_key"] == HIDDEN and told["catalog"] == "postgresql://qbitel:***@db/qbitel"
    (tmp_path / "qbitel_audit_key").write_text("too-short")
    with pytest.raises(InputError, match="QBITEL_AUDIT_KEY") as short:
        load_settings()
    for text in (shown, repr(load_settings(audit_key=KEY)), str(short.value)):
        assert KEY not in text and "hush-hush" not in text and "too-short" not in text


def test_variables_that_set_nothing_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one would otherwise leave a limit where it was, unseen."""
    monkeypatch.setenv("QBITEL_MAX_BODY_BYTE", "9")
    told = run("config", "show", "port", "--changed").stderr
    assert "QBITEL_MAX_BODY_BYTE is no setting; is QBITEL_MAX_BODY_BYTES meant?" in told
    assert "is max_body_bytes meant?" in run("config", "show", "max_body_byte", expect=5).stderr
