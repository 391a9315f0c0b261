"""Retraining: ``qbitel retrain`` as a job of the Ray cluster; what comes of it challenges the champion."""

from __future__ import annotations

import asyncio
import uuid
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Path, Response

from ..cluster.registry import CHALLENGER, ModelVersion, Registry
from ..cluster.submit import job_status, submit_command
from ..discovery.errors import InputError
from .models import Retraining, RetrainRequest
from .problems import ProblemError, problem_responses
from .service import Service, ServiceOf

router = APIRouter(tags=["models"])

Model = Annotated[Literal["classifier", "segmenter"], Path(description="the network")]
Asked = Annotated[RetrainRequest, Body(openapi_examples={"example": {"value": {"set": "plant@3", "epochs": 4}}})]
_ANSWERS: dict[Any, Any] = problem_responses(422, 503)


@router.post("/v1/models/{model}/retrain", summary="Train on new labels", status_code=202, responses=_ANSWERS)
async def retrain(
    model: Model,
    asked: Asked,
    service: ServiceOf,
    response: Response,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=128, description="the same key again gives the same retraining")
    ] = None,
) -> Retraining:
    """Submit the training of a challenger; `links.self` says how it goes. Nothing that is served changes by itself."""
    # Named after the key, so that every replica, and Ray itself, knows it again.
    key = sha256(f"{model} {idempotency_key}".encode()).hexdigest() if idempotency_key else uuid.uuid4().hex
    run = f"retrain-{model}-{key[:16]}"
    await asyncio.to_thread(_submit, service, model, asked, run)
    found = await asyncio.to_thread(_state, service, model, run)
    response.headers["Location"] = found.links["self"]
    return found


@router.post("/api/v1/discovery/retrain", summary="Train the classifier on new labels", status_code=202,
             responses=_ANSWERS)  # fmt: skip
async def retrain_classifier(asked: Asked, service: ServiceOf, response: Response) -> Retraining:
    """Do what `/v1/models/classifier/retrain` does."""
    return await retrain("classifier", asked, service, response, None)


@router.get(
    "/v1/models/{model}/retrainings/{run}", summary="How a retraining goes", responses=problem_responses(404, 422, 503)
)
async def retraining(
    model: Model, run: Annotated[str, Path(pattern=r"^retrain-[a-z]+-[0-9a-f]{16}$")], service: ServiceOf
) -> Retraining:
    """Return how far the job has come, and the version that it registered."""
    return await asyncio.to_thread(_state, service, model, run)


def _submit(service: Service, model: str, asked: RetrainRequest, run: str) -> None:
    given = {name: getattr(asked, name) for name in ("examples", "epochs", "seed", "held_out")}
    options = [word for name, value in given.items() if value is not None for word in _option(name, value)]
    afresh = ["--afresh"] if asked.afresh else []
    where = ["--storage", service.settings.streams.uri, "--run", run, "--json"]
    arguments = ["retrain", model, "--set", asked.set, *options, *afresh, *where]
    try:
        submit_command(_address(service), arguments, run)
    except InputError as error:
        raise _no_jobs(error) from error


def _state(service: Service, model: str, run: str) -> Retraining:
    try:
        status = job_status(_address(service), run)
    except InputError as error:
        raise _no_jobs(error) from error
    if status is None:
        raise ProblemError(404, f"no retraining '{run}'", hint="Ray forgets jobs when its head is replaced")
    made = _made(service, model, run)
    # A job whose outcome is worse than the champion ends with exit code 1, as the command does: it has not failed.
    told: Any = "succeeded" if made is not None and status == "failed" else status
    return Retraining(
        run=run, model=model, status=told, version=f"{made.model}@{made.number}" if made else None,
        challenger=made is not None and CHALLENGER in made.aliases,
        links={"self": f"/v1/models/{model}/retrainings/{run}"},
    )  # fmt: skip


def _made(service: Service, model: str, run: str) -> ModelVersion | None:
    registry = Registry(service.catalog.engine, service.settings.streams.storage)
    return next((each for each in registry.versions(model) if each.lineage.get("run") == run), None)


def _option(name: str, value: int) -> tuple[str, str]:
    return f"--{name.replace('_', '-')}", str(value)


def _address(service: Service) -> str:
    found = service.settings.jobs_address
    if found is None:
        hint = "QBITEL_JOBS_ADDRESS=http://head:8265, the dashboard of a Ray that trains"
        raise ProblemError(503, "no cluster takes jobs", code="no-jobs", hint=hint)
    return found


def _no_jobs(error: InputError) -> ProblemError:
    return ProblemError(503, "the cluster that trains does not answer", code="no-jobs", hint=error.where)
