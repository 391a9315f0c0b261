"""Start Ray on this machine, or join a running cluster."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..discovery.errors import InputError, LimitError
from .ray_connection import RayConnection
from .settings import ServiceSettings

# Chosen before Ray is imported: without the first, a local Ray turns tokens on and writes one to the home folder.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

# Ray Serve reads these where it is imported, in every process: before Ray starts, on all nodes of a cluster.
_HAPROXY = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
}

# A node that does not answer is given up after about three seconds, where Ray's own settings take more than twenty.
HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


def prepare_environment(settings: ServiceSettings | None = None) -> None:
    """Set the environment that Ray and its workers inherit; what the user has set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if settings is not None and settings.transport == "haproxy":
        for name, value in _HAPROXY.items():
            os.environ.setdefault(name, value)


def _haproxy_of_its_own(folder: str) -> None:
    """Let an HAProxy have files and ports of its own, so that several services can run side by side on one machine."""
    own = {
        "CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "SOCKET_PATH": f"{folder}/haproxy.sock",
        "METRICS_SOCKET_PATH": f"{folder}/haproxy-metrics.sock",
        "SERVER_STATE_BASE": folder,
        "SERVER_STATE_FILE": f"{folder}/haproxy-servers",
        "STATS_PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
    }
    for name, value in own.items():
        os.environ.setdefault(f"RAY_SERVE_HAPROXY_{name}", value)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nothing listens on at the moment of asking."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def usable_port(host: str, port: int) -> int:
    """
    Return a port that can be listened on: the one given, or a free one where it is 0.

    Raises:
        InputError: the address is none of this machine, or the port is taken.
    """
    try:
        if not port:
            return free_port(host)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        return port
    except OSError as error:
        hint = "port 0 takes a free one"
        raise InputError(f"cannot listen: {error.strerror}", where=f"{host}:{port}", hint=hint) from error


def need_cores(cores: float, what: str, there: float | None = None) -> None:
    """
    Refuse what Ray can never start.

    Args:
        cores: logical ones, as Ray counts them. what: needs them.
        there: the cores of a Ray that is not running yet; None asks the one that this process is connected to.

    Raises:
        LimitError: Ray would wait for them for ever, without a word.
    """
    if there is None:
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        there = resources.get("CPU", 0.0)
    if there < cores:
        raise LimitError(
            f"{what} needs {cores:g} logical cores, and this Ray has {there:g}",
            hint="fewer workers or smaller shares of a core; or QBITEL_RAY_CPUS, or more nodes",
        )


@contextmanager
def ray_cluster(settings: ServiceSettings) -> Iterator[RayConnection]:
    """
    Give a connection to Ray: to ``settings.ray_address``, or to a Ray of its own that ends with the block.

    A Ray of its own has its own folder and free ports, so that several can run side by side on one machine.
    """
    prepare_environment(settings)
    import ray

    if settings.ray_address:
        with ray_at(settings.ray_address) as connection:
            yield connection
        return
    # Unix socket paths end at 107 bytes, and Ray adds about 80 of its own: the folder lies right under /tmp.
    folder = tempfile.mkdtemp(prefix="qb", dir="/tmp")
    if settings.transport == "haproxy":
        _haproxy_of_its_own(folder)
    try:
        ray.init(
            address="local",
            num_cpus=settings.ray_cpus,
            object_store_memory=settings.ray_object_store_bytes,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
            _temp_dir=folder,
        )
        yield RayConnection(_gone)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ray_at(address: str, **options: Any) -> Iterator[RayConnection]:
    """
    Give a connection to a running Ray.

    Args:
        options: of ``ray.init``.

    Raises:
        InputError: there is none.
    """
    prepare_environment()
    import ray
    from ray.exceptions import RaySystemError, RpcError

    def connect() -> None:
        try:
            ray.init(address=address, log_to_driver=False, **{"logging_level": logging.WARNING, **options})
        except (ConnectionError, TimeoutError, RuntimeError, RaySystemError, RpcError) as error:
            raise InputError("no running Ray", where=address, hint="ray start --head starts one") from error

    connect()
    try:
        yield RayConnection(connect)
    finally:
        ray.shutdown()


def _gone() -> None:
    raise InputError("the Ray of this process has ended")
