"""A FastAPI deployment that does nothing: what proxy and replica cost alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

NOTHING = "/nothing/at-all"


@contextmanager
def running_idle() -> Iterator[None]:
    """Run it beside the service, on the same proxy."""
    from fastapi import FastAPI, Request
    from ray import serve
    from ray.serve.schema import LoggingConfig

    app = FastAPI()

    # Not postponed annotations: FastAPI would look for Request among this module's names.
    async def nothing(request: Any) -> dict[str, str]:
        await request.body()
        return {}

    nothing.__annotations__ = {"request": Request, "return": dict[str, str]}
    app.post("/at-all")(nothing)

    @serve.ingress(app)
    class Nothing:
        """Has nothing."""

    options = {"max_ongoing_requests": 256, "ray_actor_options": {"num_cpus": 0.5}}
    deployment = cast(Any, serve.deployment(Nothing)).options(**options)
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")
    serve.run(deployment.bind(), name="nothing", route_prefix="/nothing", logging_config=quiet)
    try:
        yield
    finally:
        serve.delete("nothing")
