"""Settings come from named places in a known order, and what cannot be is refused by its name."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from qbitel.cluster.config import HIDDEN, shown
from qbitel.cluster.profiles import PROFILES
from qbitel.cluster.settings import ServiceSettings, load_settings
from qbitel.cluster.settings_page import page
from qbitel.discovery.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
KEY = "0123456789abcdef"


class VaultHandler(BaseHTTPRequestHandler):
    """The two requests that are made of a Vault, answered as its API documents them."""

    secret: ClassVar[Any] = {"data": {"data": {"redis": "redis://vault:6379", "QBITEL_AUDIT_KEY": KEY * 2}}}

    def do_GET(self) -> None:
        """Give the secret to whoever has a token."""
        if self.path.startswith("/v1/kv/data/team/qbitel") and self.headers["X-Vault-Token"] in ("t1", "t2"):
            self.answer(200, self.secret)
        else:
            self.answer(403, {"errors": ["permission denied"]})

    def do_POST(self) -> None:
        """Give a token for that of a service account."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.path == "/v1/auth/kubernetes/login" and asked == {"role": "qbitel", "jwt": "of-the-pod"}
        self.answer(200 if known else 400, {"auth": {"client_token": "t2"}} if known else {"errors": ["no"]})

    def answer(self, status: int, document: Any) -> None:
        """Answer with JSON."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def vault() -> Iterator[str]:
    """Give the address of a stand-in for Vault, on a real socket."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), VaultHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Return a folder of secrets as Kubernetes mounts it: links into a hidden folder."""
    hidden = tmp_path / "secrets" / "..data"
    hidden.mkdir(parents=True)
    for name, text in {"qbitel_audit_key": f"{KEY}\n", "QBITEL_WEBHOOK_SECRET": "w" * 16, "README": "x"}.items():
        (hidden / name).write_text(text)
        (hidden.parent / name).symlink_to(hidden / name)
    return hidden.parent


def origin(name: str, **given: Any) -> tuple[str, str]:
    """Return a setting's value as it is shown, and where it comes from."""
    (found,) = shown([name], **given)
    return found.value, found.origin


def test_page_is_what_the_settings_say() -> None:
    """docs/settings.md is written by the command."""
    assert PAGE.read_text() == page(), "python -m qbitel.cluster.settings_page > docs/settings.md"


def test_the_first_source_that_has_a_value_gives_it(monkeypatch: pytest.MonkeyPatch, secrets: Path, vault: str) -> None:
    """Given, environment, files, Vault, profile, default: each hides those behind it."""
    assert origin("gateways") == ("1", "default")
    monkeypatch.setenv("QBITEL_PROFILE", "staging")
    assert origin("gateways") == ("2", "profile staging")
    for name, value in {"ADDRESS": vault, "PATH": "kv/team/qbitel", "TOKEN": "t1"}.items():
        monkeypatch.setenv(f"QBITEL_VAULT_{name}", value)
    assert origin("redis") == (HIDDEN, "vault kv/team/qbitel")
    assert load_settings().redis_address == "redis://vault:6379"
    assert origin("audit_key")[1] == "vault kv/team/qbitel"
    monkeypatch.setenv("QBITEL_SECRETS_DIR", str(secrets))
    assert origin("audit_key")[1] == str(secrets)
    kept = load_settings()
    assert kept.audit_key is not None and kept.audit_key.get_secret_value() == KEY
    assert kept.webhook_secret is not None
    monkeypatch.setenv("QBITEL_GATEWAYS", "3")
    assert origin("gateways") == ("3", "QBITEL_GATEWAYS")
    assert origin("gateways", gateways=4) == ("4", "given")


def test_every_profile_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each can be started with what it needs; prod names what is missing."""
    monkeypatch.setenv("QBITEL_PROFILE", "prod")
    with pytest.raises(InputError, match="profile prod needs QBITEL_AUDIT_KEY"):
        load_settings()
    monkeypatch.setenv("QBITEL_AUDIT_KEY", KEY)
    for profile, values in PROFILES.items():
        settings = load_settings(profile=profile)
        assert {name: getattr(settings, name) for name in values} == values
    assert load_settings(profile="prod").authentication == "required"


def test_a_folder_of_secrets_is_looked_at_before_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There must be one, and it must hold small files."""
    monkeypatch.setenv("QBITEL_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(InputError, match="no such folder"):
        load_settings()
    monkeypatch.setenv("QBITEL_SECRETS_DIR", str(tmp_path))
    (tmp_path / "qbitel_redis").write_bytes(b"x" * (65 << 10))
    with pytest.raises(InputError, match="'qbitel_redis' is no file of at most"):
        load_settings()


def test_vault_takes_the_token_of_a_pod(vault: str, tmp_path: Path) -> None:
    """In Kubernetes there is no token to keep: the service account's opens Vault."""
    (tmp_path / "token").write_text("of-the-pod\n")
    at: dict[str, Any] = {"vault_address": vault, "vault_path": "kv/team/qbitel", "vault_jwt": tmp_path / "token"}
    assert load_settings(**at, vault_role="qbitel").redis_address == "redis://vault:6379"
    with pytest.raises(InputError, match=r"gives no kv/team/qbitel \(InvalidRequest\)"):
        load_settings(**at, vault_role="other")
    with pytest.raises(InputError, match="needs a token or a role"):
        load_settings(**at)


def test_a_vault_that_gives_nothing_ends_the_start(vault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, not there, or with a key that is no setting: never a service without its secrets."""
    with pytest.raises(InputError, match=r"\(Forbidden\)") as refused:
        load_settings(vault_address=vault, vault_path="kv/team/qbitel", vault_token="stolen-token")
    assert "stolen-token" not in str(refused.value)
    with pytest.raises(InputError, match="QBITEL_VAULT_ADDRESS"):
        load_settings(vault_address="http://127.0.0.1:9", vault_path="kv/team/qbitel", vault_token="t1")
    with pytest.raises(InputError, match="QBITEL_VAULT_PATH"):
        load_settings(vault_address=vault, vault_path="kv", vault_token="t1")
    monkeypatch.setattr(VaultHandler, "secret", {"data": {"data": {"audit_kee": KEY}}})
    with pytest.raises(InputError, match="QBITEL_AUDIT_KEE"):
        load_settings(vault_address=vault, vault_path="kv/team/qbitel", vault_token="t1")


def test_settings_can_be_told_to_another_process() -> None:
    """What was loaded is data: a copy of it needs none of the sources."""
    settings = load_settings(gateways=3, audit_key=KEY)
    assert ServiceSettings.model_validate(settings.model_dump()) == settings
