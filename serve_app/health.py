"""Whether the service lives, and whether it can work."""

from __future__ import annotations

import asyncio
from importlib import metadata

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from .models import Health
from .problems import ProblemError, problem_responses
from .service import ServiceOf

VERSION = metadata.version("qbitel")

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="The process answers")
async def healthz() -> Health:
    """Answer, without looking at anything else."""
    return Health(status="ok", version=VERSION)


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="The service can work", responses=problem_responses(503))
async def readyz(service: ServiceOf) -> Health:
    """Look whether the catalog answers; 503 where it does not."""
    try:
        await asyncio.to_thread(service.catalog.waiting)
    except SQLAlchemyError as error:
        raise ProblemError(503, f"the catalog does not answer: {type(error).__name__}", code="catalog") from error
    return Health(status="ok", version=VERSION)
