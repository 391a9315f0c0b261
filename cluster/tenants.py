"""
Tenants: whose a specification, a discovery, a stream, a key is.

The tenant without a name, ``""``, is that of the open mode, and of what was there before tenants had names.
"""

from __future__ import annotations

import re

from ..discovery.errors import InputError

LONGEST = 27  # with a stream's name and the sign between them, 128: the width of a stream's column
TENANT = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST - 1}}}\Z")
_SIGN = "~"


def check_tenant(tenant: str) -> str:
    """
    Return the name of a tenant, or the empty one.

    Raises:
        InputError: it is none.
    """
    if tenant and not TENANT.match(tenant):
        hint = f"1 to {LONGEST} small letters, digits and '-', no '-' first"
        raise InputError("not a name for a tenant", where=tenant[:64], hint=hint)
    return tenant


def stream_key(tenant: str, name: str) -> str:
    """Return what the stores call a tenant's stream: names have no ``~``, so nobody's name is another's stream."""
    return f"{name}{_SIGN}{tenant}" if tenant else name


def stream_name(key: str) -> str:
    """Return what its tenant calls a stream."""
    return key.partition(_SIGN)[0]


def tenant_of_stream(key: str) -> str:
    """Return whose a stream is by what the stores call it."""
    return key.partition(_SIGN)[2]
