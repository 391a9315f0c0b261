"""
Secrets from HashiCorp Vault, or OpenBao, by ``hvac``: one secret of the KV engine, version 2, whose keys are settings.

Who asks shows a token, or in Kubernetes the token of its service account, for which Vault gives one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ..discovery.errors import InputError

PATIENCE_S = 5.0
LARGEST_TOKEN = 64 << 10
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True)
class Vault:
    """
    Where a secret is.

    Attributes:
        path: ``mount/name/of/secret``. known: settings that are known already: ``vault_token``, or ``vault_role`` and
            ``vault_jwt`` (file of the service account's token), and ``vault_ca`` (file of authorities).
    """

    address: str
    path: str
    known: Mapping[str, Any] = field(repr=False, default_factory=dict)


def read_vault(vault: Vault) -> dict[str, Any]:
    """
    Return the settings that a secret holds, by their names.

    Raises:
        InputError: Vault does not answer, does not know who asks, or has no such secret.
    """
    import hvac
    from hvac.exceptions import VaultError
    from requests.exceptions import RequestException

    mount, _, name = vault.path.strip("/").partition("/")
    if not name:
        raise _refused(vault, f"'{vault.path[:80]}' is not of the form mount/name", "QBITEL_VAULT_PATH")
    verify: str | bool = str(vault.known.get("vault_ca") or "") or True
    try:
        client = hvac.Client(url=vault.address, verify=verify, timeout=PATIENCE_S)
        client.token = _token(vault, client)
        answer = client.secrets.kv.v2.read_secret_version(name, mount_point=mount, raise_on_deleted_version=True)
        found = answer["data"]["data"]
    except (VaultError, RequestException, KeyError, TypeError) as error:
        # The text of an error may repeat what was sent: its type says enough.
        raise _refused(vault, f"gives no {vault.path} ({type(error).__name__})", "QBITEL_VAULT_ADDRESS") from error
    if not isinstance(found, dict):
        raise _refused(vault, f"has something else than names and values at {vault.path}", "QBITEL_VAULT_PATH")
    return {str(key).lower().removeprefix("qbitel_"): value for key, value in found.items()}


def _token(vault: Vault, client: Any) -> str:
    given, role = vault.known.get("vault_token"), vault.known.get("vault_role")
    if given:
        return given.get_secret_value() if isinstance(given, SecretStr) else str(given)
    if not role:
        raise _refused(vault, "needs a token or a role", "QBITEL_VAULT_TOKEN")
    file = Path(str(vault.known.get("vault_jwt") or _TOKEN))
    try:
        with file.open("rb") as source:
            shown = source.read(LARGEST_TOKEN).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(vault, f"{file} cannot be read", "QBITEL_VAULT_JWT") from error
    answer = client.auth.kubernetes.login(role=str(role), jwt=shown)
    return str(answer["auth"]["client_token"])


def _refused(vault: Vault, what: str, setting: str) -> InputError:
    return InputError(f"{vault.address} {what}", where=f"setting {setting}", hint="see docs/settings.md")
