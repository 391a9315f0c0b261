"""Writes docs/settings.md: ``python -m qbitel.cluster.settings_page > docs/settings.md``."""

from __future__ import annotations

import sys
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .config import as_text
from .profiles import NEEDED, PROFILES
from .settings import ServiceSettings
from .sources import PREFIX

_HEAD = """# Settings

`qbitel config show` prints every setting as it is here, and where its value comes from. The first of these that has one
gives it:

1. the command line (`qbitel serve --port 9000`), or the code that makes the settings;
2. the environment: `max_body_bytes` is `QBITEL_MAX_BODY_BYTES`; lists are JSON,
   `QBITEL_CORS_ORIGINS='["https://soc.example"]'`;
3. files of secrets: where `QBITEL_SECRETS_DIR` names a folder, its file `qbitel_audit_key` (in any case) holds
   `audit_key`. A secret of Kubernetes is mounted so;
4. Vault or OpenBao, where `QBITEL_VAULT_ADDRESS` names one: the keys of the secret `QBITEL_VAULT_PATH` (KV, version 2)
   are settings. It is shown `QBITEL_VAULT_TOKEN`, or, for the role `QBITEL_VAULT_ROLE`, the token of the pod's service
   account. It is read once, at start;
5. the profile, `QBITEL_PROFILE`: `dev` (the defaults), `test`, `staging`, or `prod`;
6. the default.

A value that cannot be ends the start with one line that names its variable. Secrets are never shown or logged.
Variables that begin with `QBITEL_` and set nothing are named by `qbitel config show`.

## Profiles

"""


def page() -> str:
    """Return the page."""
    return _HEAD + _profiles() + "\n## All settings\n\nSizes are bytes, times are seconds.\n\n" + _all()


def _profiles() -> str:
    names = sorted({name for values in PROFILES.values() for name in values})
    heads = [profile for profile in PROFILES if profile != "dev"]
    lines = [f"| setting | dev (default) | {' | '.join(heads)} |", "|---|---|" + "---|" * len(heads)]
    for name in names:
        usual = _default(name, ServiceSettings.model_fields[name])
        told = [as_text(name, PROFILES[each][name]) if name in PROFILES[each] else "" for each in heads]
        lines.append(f"| `{name}` | {usual} | {' | '.join(told)} |")
    needed = [f"`{each}` does not start without `{PREFIX}{n.upper()}`." for each in heads for n in NEEDED[each]]
    return "\n".join([*lines, "", *needed, ""])


def _all() -> str:
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in sorted(ServiceSettings.model_fields.items()):
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{PREFIX}{name.upper()}` | {_default(name, field)} | {meaning} |")
    return "\n".join([*lines, ""])


def _default(name: str, field: FieldInfo) -> str:
    value: Any = field.default
    return "" if value is PydanticUndefined else as_text(name, value)


if __name__ == "__main__":
    sys.stdout.write(page())
