"""The registry of models: what is registered, and which version each alias stands for."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query

from ..cluster.registry import Registry
from ..cluster.storage import Storage
from ..discovery.errors import NotFoundError
from .models import Aliased, ModelList, ModelSummary, ModelVersion, ModelVersions
from .paging import Limit
from .problems import problem_responses
from .service import Service, ServiceOf

router = APIRouter(prefix="/v1/models", tags=["models"])

_NAME = r"^[a-z][a-z0-9_-]{0,63}$"
Model = Annotated[str, Path(pattern=_NAME, description="name of the model", examples=["segmenter"])]
Alias = Annotated[str, Path(pattern=_NAME, description="champion, challenger, …", examples=["champion"])]


def registry_of(service: Service) -> Registry:
    """Return the registry that the catalog holds; the commands of training find it at the same address."""
    return Registry(service.catalog.engine, Storage(service.settings.streams.uri))


def _shown(version: object) -> ModelVersion:
    return ModelVersion.model_validate(version, from_attributes=True)


@router.get("", summary="List the models", responses=problem_responses(422))
async def models(service: ServiceOf) -> ModelList:
    """Return each model with the versions that its aliases stand for."""
    found: dict[str, ModelSummary] = {}
    for version in await asyncio.to_thread(registry_of(service).versions):
        first = ModelSummary(model=version.model, versions=0, newest=version.number, aliases={})
        summary = found.setdefault(version.model, first)
        summary.versions += 1
        summary.newest = max(summary.newest, version.number)
        summary.aliases.update(dict.fromkeys(version.aliases, version.number))
    return ModelList(models=[found[name] for name in sorted(found)])


@router.get("/{model}/versions", summary="Versions of a model", responses=problem_responses(404, 422))
async def versions(
    model: Model,
    service: ServiceOf,
    limit: Limit = 100,
    below: Annotated[int, Query(ge=1, lt=1 << 53, description="`next` of the page before")] = (1 << 53) - 1,
) -> ModelVersions:
    """Return versions with lineage and metrics, the newest first."""
    found = await asyncio.to_thread(registry_of(service).versions, model)
    if not found:
        raise NotFoundError(f"no model '{model}'", hint="GET /v1/models lists them")
    rest = sorted((each for each in found if each.number < below), key=lambda each: -each.number)
    following = rest[limit - 1].number if len(rest) > limit else None
    return ModelVersions(versions=[_shown(asdict(each)) for each in rest[:limit]], next=following)


@router.get("/{model}/versions/{number}", summary="A version of a model", responses=problem_responses(404, 422))
async def version_of(
    model: Model,
    number: Annotated[int, Path(ge=1, lt=1 << 31, description="number of the version", examples=[3])],
    service: ServiceOf,
) -> ModelVersion:
    """Return a version with lineage and metrics."""
    return _shown(asdict(await asyncio.to_thread(registry_of(service).version, f"{model}@{number}")))


@router.get("/{model}/aliases/{alias}", summary="What an alias stands for", responses=problem_responses(404, 422))
async def aliased(model: Model, alias: Alias, service: ServiceOf) -> ModelVersion:
    """Return the version that an alias stands for now."""
    return _shown(asdict(await asyncio.to_thread(registry_of(service).version, f"{model}@{alias}")))


@router.put("/{model}/aliases/{alias}", summary="Move an alias", responses=problem_responses(404, 422))
async def move_alias(
    model: Model,
    alias: Alias,
    chosen: Annotated[Aliased, Body(openapi_examples={"example": {"value": {"version": 3}}})],
    service: ServiceOf,
) -> ModelVersion:
    """Let an alias stand for a version, and for no other from then on; one transaction."""
    moved = await asyncio.to_thread(registry_of(service).alias, f"{model}@{chosen.version}", alias)
    return _shown(asdict(moved))


@router.delete("/{model}/aliases/{alias}", summary="Drop an alias", responses=problem_responses(404, 422))
async def drop_alias(model: Model, alias: Alias, service: ServiceOf) -> ModelVersion:
    """Let an alias stand for nothing; return the version that it stood for."""
    registry = registry_of(service)
    stood = await asyncio.to_thread(registry.version, f"{model}@{alias}")
    await asyncio.to_thread(registry.drop_alias, model, alias)
    return _shown(asdict(await asyncio.to_thread(registry.version, f"{model}@{stood.number}")))
