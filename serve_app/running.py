"""Start the service on a Ray of this machine and keep it running."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..cluster.payload_scan import PayloadScan
from ..cluster.ray_start import prepare_environment, ray_cluster, usable_port
from ..cluster.settings import ServiceSettings, load_settings


def run(**given: Any) -> None:
    """
    Serve until interrupted (or terminated), then stop the service and the Ray it started.

    Args:
        given: settings that go before those of the environment and the rest; ``port=0`` takes a free one.

    Raises:
        InputError: a setting cannot be, or the address cannot be listened on.
    """
    free = given.get("port") == 0
    settings = load_settings(**{name: value for name, value in given.items() if name != "port" or not free})
    chosen: dict[str, Any] = {"port": usable_port(settings.host, 0 if free else settings.port)}
    if settings.log_dir is None:  # the folder where Ray keeps standard error goes with the Ray
        chosen["log_dir"] = settings.data_dir.resolve() / "logs"
    settings = settings.model_copy(update=chosen)
    stop = threading.Event()

    def _stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    with ray_cluster(settings):
        # After Ray's start: ray.init sets handlers of its own.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        with running_service(settings) as address:
            sys.stderr.write(f"qbitel: listening on {address} (documentation: {address}/docs); Ctrl+C stops it\n")
            if settings.authentication == "none":
                sys.stderr.write("qbitel: nobody is asked who they are, and so only this machine is answered\n")
            sys.stderr.flush()
            stop.wait()
            sys.stderr.write("qbitel: stopping\n")


@contextmanager
def running_service(settings: ServiceSettings) -> Iterator[str]:
    """Give the address of the service, run on the Ray that this process is connected to."""
    prepare_environment(settings)
    from ray import serve
    from ray.serve.config import HTTPOptions
    from ray.serve.schema import LoggingConfig

    from .deployments import application

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    PayloadScan(settings.scan_rules)  # rules that cannot be compiled are refused now, not with the first discovery
    settings.uploads.mkdir(parents=True, exist_ok=True)
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    # The service's own time-outs answer with a problem; the proxy's would cut event streams.
    serve.start(http_options=HTTPOptions(host=settings.host, port=settings.port))
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")
    serve.run(application(settings), name="qbitel", route_prefix="/", logging_config=quiet)
    try:
        yield f"http://{settings.host}:{settings.port}"
    finally:
        # Not serve.shutdown: it may take its full 30 s, and a Ray of our own ends with the block around this one.
        serve.delete("qbitel")
