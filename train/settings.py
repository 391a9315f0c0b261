"""What a training does, and on what: the first decides the result, the second only how soon it comes."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

RUN_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class TrainSettings(BaseModel):
    """Everything that decides what a training gives; a run is known by its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(description="name of the network")
    seed: int = Field(1, ge=1, le=1 << 31, description="draws first parameters, dropout and the stream of examples")
    examples: int = Field(12_000, ge=1, description="examples to train on, none of them twice")
    epochs: int = Field(12, ge=1, le=10_000, description="parts; each ends with evaluation and checkpoint")
    batch: int = Field(4, ge=1, le=4096, description="examples of a step, over all workers")
    rate: float = Field(2e-3, gt=0, description="highest learning rate (AdamW)")
    warm_up: int = Field(100, ge=0, description="steps over which the rate rises")
    decay: float = Field(0.2, ge=0, le=1, description="share of the steps, at the end, that lower it to zero")
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient")
    held_out: int = Field(100, ge=1, description="examples to choose by; as many calibrate, as many judge")
    patience: int = Field(0, ge=0, description="epochs without a better held-out loss after which to stop; 0: none")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the products in training; weights are fp32")
    compiled: bool = Field(False, description="run the network through torch.compile")
    labelled: str | None = Field(None, description="training set that it is given, name@number")
    labelled_digest: str | None = Field(None, description="digest of that version's files")
    share: float = Field(0.25, ge=0, le=1, description="of the examples from the set, beside a simulator's")
    start: str | None = Field(None, description="digest of the registered weights to start from")

    @model_validator(mode="after")
    def _enough(self) -> TrainSettings:
        if self.examples < self.epochs * self.batch:
            raise ValueError(f"{self.examples} examples do not make a step of {self.batch} in {self.epochs} epochs")
        return self

    @property
    def steps_an_epoch(self) -> int:
        """Steps of each epoch; what is left over of the examples is not used."""
        return self.examples // self.batch // self.epochs

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_an_epoch * self.epochs

    def rate_at(self, step: int) -> float:
        """Return the rate of a step: rising, then level, then falling to zero (warm-up, stable, decay)."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.rate * min(1.0, (step + 1) / max(1, self.warm_up), left)

    @property
    def hash(self) -> str:
        """SHA-256 of the settings, 16 hexadecimal digits."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]


class WorkerSettings(BaseModel):
    """Where a training runs. Cores are logical ones of Ray: shares of a core that it reserves, not threads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fewest: int = Field(0, ge=0, le=1024, description="processes that train; 0: this one does, without Ray")
    most: int = Field(0, ge=0, le=1024, description="as many while there is room; more than the fewest if elastic")
    cpus: float = Field(1.0, gt=0, description="cores of each")
    gpu: bool = Field(False, description="give each a GPU; gradients then travel by nccl, else by gloo")
    sources: int = Field(1, ge=0, le=64, description="processes that make examples for each; 0: it does itself")
    source_cpus: float = Field(0.5, gt=0, description="cores of each of these")
    failures: int = Field(3, ge=-1, description="losses of workers after which the run fails; -1 never")

    @model_validator(mode="after")
    def _ordered(self) -> WorkerSettings:
        if self.most < self.fewest:
            raise ValueError(f"at most {self.most} workers are fewer than at least {self.fewest}")
        return self

    @property
    def cores(self) -> float:
        """Cores without which the training cannot start: the fewest workers and one source for each."""
        return self.fewest * (self.cpus + self.source_cpus * min(1, self.sources))

    def __str__(self) -> str:
        number = f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} to {self.most}"
        made = f" and {self.source_cpus:g} of what makes its examples" if self.sources else ""
        return f"a training with {number} workers ({self.cpus:g} cores each{made})"
