"""Settings of what guards the service: who is let in, from where, how often."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from limits import parse_many
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings


class GuardSettings(BaseSettings):
    """Who may ask, and how often; where nothing is set, everybody on this machine and nobody else."""

    host: str = Field("127.0.0.1", description="address the HTTP proxy listens on")
    authentication: Literal["none", "required"] = Field(
        "none", description="'none' answers this machine alone: host must be a loopback address"
    )
    rates_key: str = Field(
        "",
        max_length=256,
        description="requests of each key or user, as '50/second; 100000/day'; a key may have its own",
    )
    rates_tenant: str = Field("", max_length=256, description="requests of each tenant, all its keys together")
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may ask, as https://soc.example; none")

    @field_validator("rates_key", "rates_tenant")
    @classmethod
    def _rates(cls, rates: str) -> str:
        return check_rates(rates)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not origin.startswith(("https://", "http://")) or origin.count("/") != 2 or "*" in origin:
                raise ValueError(f"'{origin[:80]}' is no origin: https://host or http://host:port, without a path")
        return origins

    @model_validator(mode="after")
    def _closed_or_local(self) -> GuardSettings:
        if self.authentication == "none" and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is reached from other machines, and authentication is none: set "
                "QBITEL_AUTHENTICATION=required, or listen on 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Say whether an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_rates(rates: str) -> str:
    """
    Return rates as they are.

    Raises:
        ValueError: they are none.
    """
    if rates.strip():
        try:
            parse_many(rates)
        except ValueError:
            raise ValueError(f"'{rates[:80]}' is no rate: write 50/second, or 50/second; 100000/day") from None
    return rates
