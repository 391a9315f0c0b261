"""Settings come from code and from the environment, and refuse what they do not know."""

from __future__ import annotations

import socket

import pytest
from pydantic import ValidationError

from qbitel.cluster.ray_start import free_port
from qbitel.cluster.settings import ServiceSettings


def test_environment_sets_what_code_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the environment sets a setting; code goes before it."""
    monkeypatch.setenv("QBITEL_MAX_BODY_BYTES", "2048")
    assert ServiceSettings().max_body_bytes == 2048
    assert ServiceSettings(max_body_bytes=4096).max_body_bytes == 4096


def test_limit_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that cannot work is refused when the settings are read, not when the first request comes."""
    monkeypatch.setenv("QBITEL_MAX_BODY_BYTES", "0")
    with pytest.raises(ValidationError):
        ServiceSettings()


def test_free_port_can_be_listened_on() -> None:
    """The port that is given can be bound."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
