"""
Where settings come from. The first of these that has a value gives it:

1. the command line, or the code that makes the settings;
2. the environment, ``QBITEL_MAX_BODY_BYTES``;
3. files of secrets, as Kubernetes mounts them: ``$QBITEL_SECRETS_DIR/qbitel_audit_key``;
4. Vault, where ``QBITEL_VAULT_ADDRESS`` names one;
5. the profile, ``QBITEL_PROFILE``;
6. the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from ..discovery.errors import InputError
from .profiles import PROFILES
from .vault import Vault, read_vault

PREFIX = "QBITEL_"
MOST_FILES = 256
LARGEST_FILE = 64 << 10


class Named(NamedTuple):
    """A source, and how it is called: ``{}`` stands for the name of the variable."""

    name: str
    source: PydanticBaseSettingsSource


class GivenSource(PydanticBaseSettingsSource):
    """Values by the names of settings, which are strings as in the environment, or plain data."""

    def __init__(self, settings: type[BaseSettings], values: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of a setting, its name, and whether it is JSON in a string."""
        value = self._values.get(field_name)
        return value, field_name, isinstance(value, str) and self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        """Return all values; those that are no settings are refused by the model."""
        found = dict(self._values)
        for name, field in self.settings_cls.model_fields.items():
            if name in found:
                value, _, coded = self.get_field_value(field, name)
                found[name] = self.decode_complex_value(name, field, value) if coded else value
        return found


def sources(settings: type[BaseSettings], init: PydanticBaseSettingsSource) -> list[Named]:
    """
    Return the sources in their order; later ones are found by what the earlier ones say.

    Raises:
        InputError: there is no such folder of secrets, it has something else in it, or Vault does not give them.
    """
    environment = EnvSettingsSource(settings)
    found = [Named("given", init), Named("{}", environment)]
    known = {**environment(), **init()}
    if folder := known.get("secrets_dir"):
        files = SecretsSettingsSource(settings, _folder(Path(folder)))
        found.append(Named(f"{folder}", files))
        known = {**files(), **known}
    if address := known.get("vault_address"):
        vault = Vault(str(address), str(known.get("vault_path", "secret/qbitel")), known)
        found.append(Named(f"vault {vault.path}", GivenSource(settings, read_vault(vault))))
    profile = str(known.get("profile", "dev"))
    values = next((values for name, values in PROFILES.items() if name == profile), {})
    found.append(Named(f"profile {profile}", InitSettingsSource(settings, values)))
    return found


def _folder(folder: Path) -> Path:
    """Return a folder of secrets that is fit to be read: it comes from outside, too."""
    if not folder.is_dir():
        raise InputError("no such folder", where="setting QBITEL_SECRETS_DIR", hint="mount the secret, or unset it")
    # Kubernetes keeps the files in a hidden folder beside links to them.
    files = [each for each in folder.iterdir() if not each.name.startswith(".")]
    if len(files) > MOST_FILES:
        raise InputError(
            f"more than {MOST_FILES} files", where="setting QBITEL_SECRETS_DIR", hint="mount secrets alone"
        )
    for file in files:
        if not file.is_file() or file.stat().st_size > LARGEST_FILE:
            what = f"'{file.name[:80]}' is no file of at most {LARGEST_FILE} bytes"
            raise InputError(what, where="setting QBITEL_SECRETS_DIR", hint="mount secrets alone")
    return folder


def origins(settings: type[BaseSettings], given: Mapping[str, Any]) -> dict[str, str]:
    """
    Return where each setting comes from, of those that no default gives.

    Raises:
        InputError: as ``sources``; or a value is no JSON where it should be.
    """
    found: dict[str, str] = {}
    try:
        for name, source in sources(settings, InitSettingsSource(settings, dict(given))):
            for key in source():
                found.setdefault(key, name.format(f"{PREFIX}{key.upper()}"))
    except SettingsError as error:
        raise refused(error) from error
    return found


def refused(error: SettingsError) -> InputError:
    """Return the error that names the setting whose value cannot be read."""
    name = str(error).partition('"')[2].partition('"')[0]
    hint = f"write JSON, as {PREFIX}CORS_ORIGINS='[\"https://soc.example\"]'"
    return InputError("is no JSON", where=f"setting {PREFIX}{name.upper()}", hint=hint)
