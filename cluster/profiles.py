"""
Profiles: what the settings are where nobody has said otherwise, for each of the four places a service runs in.

They say what differs from the defaults, and what must be said because no value could be right for everybody.
"""

from __future__ import annotations

from typing import Any, Literal

Profile = Literal["dev", "test", "staging", "prod"]

PROFILES: dict[Profile, dict[str, Any]] = {
    # One machine, one user: the defaults.
    "dev": {},
    # A service that tests start and stop: it says what it does, remembers little, and ends at once.
    "test": {
        "log_level": "DEBUG",
        "log_requests": True,
        "traces_share": 1.0,
        "health_fresh_s": 0.0,
        "cache_age_s": 5.0,
        "keep_jobs": 100,
        "drain_s": 5.0,
    },
    # As prod, and seen in full.
    "staging": {
        "host": "0.0.0.0",
        "authentication": "required",
        "audit": "all",
        "gateways": 2,
        "workers": 2,
        "log_requests": True,
        "traces_share": 0.1,
    },
    "prod": {"host": "0.0.0.0", "authentication": "required", "gateways": 2, "workers": 2},
}
NEEDED: dict[Profile, tuple[str, ...]] = {"dev": (), "test": (), "staging": (), "prod": ("audit_key",)}
"""Settings that a profile does without no value of: without its key anybody who can write to the catalog can make
records of the audit trail that verify."""
