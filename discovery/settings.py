"""Settings of a discovery: the seed and every counted budget; their hash is part of a specification's provenance."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, Field


class DiscoverySettings(BaseModel):
    """What a discovery may spend and how it draws; equal settings and input give equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, description="keys the sampling hash, the held-out split and every random choice")
    sample_messages: int = Field(default=4096, ge=16, le=65536, description="distinct messages that inference reads")
    sample_bytes: int = Field(default=4 << 20, ge=1 << 16, le=1 << 28, description="payload bytes of that sample")
    sample_flows: int = Field(
        default=64, ge=1, le=4096, description="flows kept in order for counters, echoes and sessions"
    )
    flow_messages: int = Field(default=512, ge=2, le=4096, description="messages kept of each sampled flow")
    held_out: float = Field(default=0.25, gt=0, lt=1, description="share of distinct messages kept from proposing")
    epsilon: float = Field(default=0.01, gt=0, lt=0.5, description="violation rate above which a claim is refuted")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the exact binomial bounds")
    max_types: int = Field(default=256, ge=1, le=4096, description="message types in one specification")
    max_fields: int = Field(default=512, ge=1, le=4096, description="fields of one message type")
    max_message_bytes: int = Field(default=65536, ge=1, le=1 << 24, description="bytes of a message that are read")
    confirm_rounds: int = Field(
        default=2, ge=1, le=8, description="times the specification is re-proposed from what it left unexplained"
    )
    checksum_budget: int = Field(
        default=20_000_000, ge=0, description="bytes hashed by the checksum search of one type"
    )
    em_iterations: int = Field(default=40, ge=1, le=1000, description="upper bound of EM iterations of the grammar")

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
