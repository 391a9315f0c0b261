"""The settings as people see them: values without secrets, where each comes from, and variables that set nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from ..discovery.errors import NotFoundError
from .settings import ServiceSettings, load_settings
from .sources import PREFIX, origins

HIDDEN = "********"
ELSEWHERE = frozenset({"QBITEL_HASH_KEY", "QBITEL_HASH_KEY_FILE", "QBITEL_CRDS"})
"""Variables that commands or tests read themselves."""


class Shown(NamedTuple):
    """A setting: its value as text, where it comes from, and what it is."""

    name: str
    value: str
    origin: str
    text: str


def shown(names: Sequence[str] = (), **given: Any) -> list[Shown]:
    """
    Return the settings in their order, or those of these names.

    Args:
        given: settings that go before all others.

    Raises:
        InputError: a value cannot be. NotFoundError: there is no setting of a name.
    """
    fields = ServiceSettings.model_fields
    wanted = [each.lower().removeprefix(PREFIX.lower()) for each in names]
    for name in wanted:
        if name not in fields:
            like = get_close_matches(name, fields, 1)
            hint = f"is {like[0]} meant?" if like else "qbitel config show lists all"
            raise NotFoundError("no such setting", where=name[:80], hint=hint)
    settings, where = load_settings(**given), origins(ServiceSettings, given)
    return [
        Shown(name, as_text(name, getattr(settings, name)), where.get(name, "default"), fields[name].description or "")
        for name in sorted(wanted or fields)
    ]


def as_text(name: str, value: Any) -> str:
    """Return a value as text, without what is secret in it."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if name == "catalog" and isinstance(value, str) and "://" in value:
        return make_url(value).render_as_string(hide_password=True)
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def unknown_variables() -> Iterator[tuple[str, str]]:
    """Yield the variables of the environment that look like settings and are none, each with what may be meant."""
    known = {f"{PREFIX}{name.upper()}" for name in ServiceSettings.model_fields} | ELSEWHERE
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            yield name, next(iter(get_close_matches(name, known, 1)), "")
