"""Who asks: a principal with a role, of a tenant; what each role may do is the service's table of operations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ..discovery.errors import InputError


class Role(IntEnum):
    """What a principal may do; each role may do all that those before it may."""

    READER = 1
    ANALYST = 2
    OPERATOR = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The name that keys and tokens give it."""
        return self.name.lower()

    @classmethod
    def named(cls, name: str) -> Role:
        """
        Return the role of that name.

        Raises:
            InputError: there is none.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            hint = f"one of {', '.join(role.label for role in cls)}"
            raise InputError(f"no role '{name[:32]}'", where="role", hint=hint) from None


@dataclass(frozen=True)
class Principal:
    """
    Who asks.

    Attributes:
        subject: who it is in records: ``key:<id>``, ``user:<issuer's subject>``, ``local``. tenant: whose data it sees.
        scopes: parts of the API that it is confined to, for instance ``classify``; empty: all that its role may.
        rates: its own limits, as ``limits`` writes them, in place of those of the settings; empty: those.
    """

    subject: str
    tenant: str
    role: Role
    scopes: frozenset[str] = frozenset()
    rates: str = ""


LOCAL = Principal("local", "", Role.ADMIN)
"""Who asks where nobody is asked who they are: in the open mode, on this machine."""
