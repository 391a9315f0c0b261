"""Settings of what guards the service: who is let in, from where, how often."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal

from limits import parse_many
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that only the holder of a private key can make: never none, never a shared secret."""


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

    trusted_proxies: tuple[str, ...] = Field(
        (), description="networks of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8"
    )
    audit: Literal["changes", "all"] = Field(
        "changes", description="what the audit trail records: changes and refusals, or every request"
    )
    audit_key: SecretStr | None = Field(
        None, min_length=16, description="without it nobody can make records of the audit trail that verify"
    )
    oidc_issuer: str | None = Field(
        None, pattern="^https?://", description="issuer of tokens (JWT) that let users in; None: keys alone do"
    )
    oidc_audience: str | None = Field(None, description="audience that tokens must be for")
    oidc_jwks: str | None = Field(
        None, pattern="^https?://", description="address of its keys; None: its discovery document names it"
    )
    oidc_algorithms: tuple[str, ...] = Field(("RS256", "ES256"), description="signatures that are accepted")
    oidc_leeway_s: float = Field(30.0, ge=0, le=300, description="how far clocks may differ")
    oidc_role_claim: str = Field("roles", description="claim with the roles; the highest that is known counts")
    oidc_tenant_claim: str = Field("tenant", description="claim with the tenant; tokens without it are refused")
    tls_certificate: Path | None = Field(None, description="file of the certificate chain (PEM); None: no TLS")
    tls_key: Path | None = Field(None, description="file of its key")
    tls_key_password: SecretStr | None = Field(None, description="what the key is encrypted with")
    tls_client_ca: Path | None = Field(
        None, description="authorities whose certificates clients must show (mTLS); None: clients show none"
    )

    @field_validator("oidc_algorithms")
    @classmethod
    def _asymmetric(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [each for each in algorithms if each not in SIGNATURES]
        if wrong or not algorithms:
            raise ValueError(f"{', '.join(wrong) or 'nothing'} is not accepted: any of {', '.join(SIGNATURES)}")
        return algorithms

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks

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
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("oidc_audience is missing: tokens for other services would be accepted")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
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
