"""Start the service on a Ray of this machine and keep it running."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from ..cluster.payload_scan import PayloadScan
from ..cluster.ray_start import prepare_environment, ray_cluster, usable_port
from ..cluster.settings import ServiceSettings
from ..discovery.errors import InputError


def run(host: str = "127.0.0.1", port: int = 8000, data_dir: Path | None = None) -> None:
    """
    Serve until interrupted (or terminated), then stop the service and the Ray it started.

    Args:
        port: 0 takes a free one.
        data_dir: folder of the catalog; ``qbitel-data``, or what ``QBITEL_DATA_DIR`` says, where None.

    Raises:
        InputError: the address cannot be listened on.
    """
    chosen: dict[str, Any] = {"host": host, "port": usable_port(host, port)}
    if data_dir is not None:
        chosen["data_dir"] = data_dir
    try:
        settings = ServiceSettings.model_validate({**ServiceSettings().model_dump(), **chosen})
        if settings.log_dir is None:  # the folder where Ray keeps standard error goes with the Ray
            settings = settings.model_copy(update={"log_dir": settings.data_dir.resolve() / "logs"})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = "QBITEL_" + "_".join(map(str, fault["loc"] or ("host or authentication",))).upper()
        raise InputError(f"{fault['msg']}", where=f"setting {name}", hint="cluster/settings.py lists them") from error
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
