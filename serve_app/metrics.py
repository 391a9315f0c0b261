"""The metrics of the whole cluster on one page, for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import APIRouter, Response

from ..cluster.observability.metrics import only_ours
from .problems import problem_responses

router = APIRouter(tags=["health"])

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE_S = 5.0


def _agents() -> list[str]:
    """Return the addresses of the agents that have the metrics of their nodes."""
    import ray

    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics" for node in nodes]


async def _scraped(client: httpx.AsyncClient, address: str) -> str:
    try:
        answer = await client.get(address)
        return answer.text if answer.is_success else ""
    except httpx.HTTPError:
        return ""  # a node that goes away takes its metrics with it


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "# TYPE qbitel_requests counter"}},
        },
        **problem_responses(503),
    },
)
async def metrics() -> Response:
    """Answer with the metrics of all processes of the service on all nodes; docs/metrics.md tells what they mean."""
    addresses = await asyncio.to_thread(_agents)
    async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:
        texts = await asyncio.gather(*(_scraped(client, address) for address in addresses))
    return Response(only_ours(texts), media_type=TEXT)
