"""Settings of the service; every limit of the service is here, and ``sources`` says where values come from."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from ..discovery.errors import InputError
from .guard_settings import GuardSettings
from .profiles import NEEDED, Profile
from .sources import PREFIX, refused, sources
from .state import State


class ServiceSettings(GuardSettings):
    """
    Where the service listens, where it keeps things, and what it may spend.

    Sizes are bytes, times are seconds. ``QBITEL_MAX_BODY_BYTES=1000000`` in the environment sets ``max_body_bytes``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    profile: Profile = Field("dev", description="what the other settings are where nothing else is said")
    secrets_dir: Path | None = Field(
        None, description="folder with a file for each secret, qbitel_audit_key, as Kubernetes mounts them"
    )
    vault_address: str | None = Field(None, pattern="^https?://", description="Vault that has the secrets; None: none")
    vault_path: str = Field("secret/qbitel", description="its secret, as mount/name, whose keys are settings")
    vault_token: SecretStr | None = Field(None, description="token that Vault is shown")
    vault_role: str | None = Field(None, description="or the role for which it takes a service account of Kubernetes")
    vault_jwt: Path | None = Field(None, description="file of that account's token; None: where Kubernetes puts it")
    vault_ca: Path | None = Field(None, description="authorities (PEM) that vouch for Vault; None: those of the system")

    port: int = Field(8000, ge=1, le=65535, description="port the HTTP proxy listens on")
    transport: Literal["proxy", "haproxy"] = Field(
        "proxy", description="Ray Serve's own proxy, or HAProxy, which is faster and knows neither TLS nor its clients"
    )
    data_dir: Path = Field(Path("qbitel-data"), description="folder of the catalog and of uploaded captures")

    storage: str | None = Field(
        None, description="URI where the journals of streams lie: a folder, s3://, gs://, …; None: data_dir"
    )
    catalog: str | None = Field(
        None, repr=False, description="postgresql://… of the catalog; None: an SQLite file in data_dir, for one machine"
    )

    max_body_bytes: int = Field(64 << 20, ge=1024, description="largest request body; more is answered with 413")
    max_expanded_bytes: int = Field(
        512 << 20, ge=1024, description="bytes that compressed captures and Arrow bodies may expand to; else 413"
    )
    max_messages: int = Field(100_000, ge=1, description="most messages of one request to parse, validate or classify")
    inline_bytes: int = Field(1 << 20, ge=0, description="bodies up to this size are answered with the result itself")
    inline_wait_s: float = Field(15.0, ge=0, description="wait for a small discovery before it is answered with 202")
    max_waiting: int = Field(64, ge=1, description="discoveries that may wait; more is answered with 503")
    discovery_timeout_s: float = Field(600.0, gt=0, description="time after which a discovery is stopped")
    heartbeat_timeout_s: float = Field(30.0, gt=0, description="silence after which a running discovery is run again")
    attempts: int = Field(2, ge=1, description="times a discovery is begun before the loss of its worker ends it")
    request_timeout_s: float = Field(60.0, gt=0, description="time that one request to these may take")
    cache_bytes: int = Field(
        64 << 20, ge=0, description="memory of a gateway for answers that are given again; 0: none"
    )
    cache_age_s: float = Field(300.0, gt=0, description="time that an answer is given again")
    redis: SecretStr | None = Field(None, description="redis://… that gateways share; None: each is for itself")
    keep_jobs: int = Field(1000, ge=1, description="finished discoveries that are kept; older ones are deleted")

    workers: int = Field(1, ge=1, le=64, description="processes that run discoveries")
    worker_cpus: float = Field(0.5, gt=0, description="share of a core that Ray reserves for each of them")
    worker_slots: int = Field(2, ge=1, le=64, description="discoveries that one of them runs at a time")
    gateways: int = Field(1, ge=1, le=64, description="processes that answer HTTP, parse and validate")
    gateway_slots: int = Field(256, ge=1, description="requests that one of them answers at a time")
    max_queued: int = Field(512, ge=1, description="requests that wait in a proxy for one of them; more is 503")
    gateway_cpus: float = Field(0.5, gt=0, description="share of a core that Ray reserves for each of them")

    webhook_secret: SecretStr | None = Field(
        None, min_length=16, description="what notices of ended discoveries are signed with; None: none are sent"
    )
    webhook_allow: tuple[str, ...] = Field(
        (), description='networks that notices may go to although they are not public, as ["10.1.0.0/16"]'
    )
    scan_rules: Path | None = Field(
        None, description="YARA rules beside the bundled ones, for known-bad content: a file, or a folder of *.yar"
    )
    scan_s: float = Field(20.0, gt=0, description="time that looking for such content may take of a discovery")

    classifier_weights: Path | None = Field(None, description="weights that classify; None: those of the package")

    bulk_bytes: int = Field(
        256 << 20, ge=0, description="captures of more bytes are read with Ray Data, which takes seconds to begin"
    )

    request_threads: int = Field(4, ge=1, le=64, description="threads of a gateway that parse, validate, classify")
    request_waiting: int = Field(64, ge=0, description="requests that may wait for one of them; more get 503")
    bodies_bytes: int = Field(
        256 << 20, ge=1024, description="bytes of all bodies that a gateway reads at once; more get 503"
    )

    jobs_address: str | None = Field(
        None, pattern="^https?://", description="Ray's dashboard, http://head:8265, to which retraining is submitted"
    )

    log_dir: Path | None = Field(None, description="folder of JSON logs; None: standard error, which Ray keeps")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="the least that is logged")
    log_requests: bool = Field(False, description="log every request, not only those that are slow or fail")
    slow_request_s: float = Field(1.0, gt=0, description="requests that take longer are logged and counted")
    traces_endpoint: str | None = Field(
        None, pattern="^https?://", description="OTLP/HTTP collector, http://…:4318/v1/traces; None: no traces"
    )
    traces_share: float = Field(0.01, ge=0, le=1, description="share of traces begun here that are recorded")
    core_hour_price: float = Field(0.05, ge=0, description="what an hour of a core costs, for qbitel_cost_total")
    health_fresh_s: float = Field(2.0, ge=0, description="age up to which a look at a component is given again")
    health_patience_s: float = Field(2.0, gt=0, description="time after which a component counts as down")
    drain_s: float = Field(30.0, gt=0, description="time that a stopped process has for what it is doing")

    ray_address: str | None = Field(None, description="Ray cluster to join; None starts one on this machine")
    ray_cpus: int = Field(4, ge=2, description="logical cores of a Ray that is started here")
    ray_object_store_bytes: int = Field(256 << 20, ge=80 << 20, description="its shared memory")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in their order."""
        return tuple(each.source for each in sources(settings_cls, init_settings))

    @model_validator(mode="after")
    def _complete(self) -> ServiceSettings:
        for name in NEEDED[self.profile]:
            if getattr(self, name) is None:
                raise ValueError(f"profile {self.profile} needs {PREFIX}{name.upper()}")
        return self

    @field_validator("webhook_allow")
    @classmethod
    def _networks(cls, allowed: tuple[str, ...]) -> tuple[str, ...]:
        for each in allowed:
            ip_network(each)
        return allowed

    @property
    def catalog_address(self) -> str:
        """Return where the catalog is: on the server that was given, or in a file of ``data_dir``."""
        return self.catalog or str(self.data_dir / "catalog.sqlite")

    @property
    def redis_address(self) -> str | None:
        """Return the address of the Redis, with its password."""
        return None if self.redis is None else self.redis.get_secret_value()

    @property
    def streams(self) -> State:
        """Return where the journals of streams lie; ``qbitel shards`` finds them at the same address."""
        return State(self.storage or str(self.data_dir.resolve()), self.catalog_address)

    @property
    def uploads(self) -> Path:
        """Return the folder of uploaded captures."""
        return self.data_dir / "uploads"


def load_settings(**given: Any) -> ServiceSettings:
    """
    Return the settings from all of their sources.

    Args:
        given: settings that go before all others.

    Raises:
        InputError: one has a value that it cannot have; named as the variable that sets it.
    """
    try:
        return ServiceSettings(**given)
    except SettingsError as error:
        raise refused(error) from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        name = PREFIX + "_".join(map(str, faults[0]["loc"][:1] or ("profile or others",))).upper()
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        hint = "qbitel config show lists all; docs/settings.md tells of each"
        what = faults[0]["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{what}{more}", where=f"setting {name}" if faults[0]["loc"] else "settings", hint=hint
        ) from None
