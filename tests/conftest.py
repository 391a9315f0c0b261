"""One Ray and one running service for the whole run, started by the first test that asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run, so that a red run is red again; `HYPOTHESIS_PROFILE=explore` draws new ones. No
# example has a deadline: the first call of a kernel compiles it.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def example_captures() -> Path:
    """Return the folder of the example captures."""
    return Path(__file__).parents[1] / "examples" / "captures"


@pytest.fixture(scope="session")
def service_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where the running service keeps its catalog and uploads."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """Give a connection to a Ray of the tests' own, with four logical cores."""
    pytest.importorskip("ray", reason="needs the extra [cluster]")
    from qbitel.cluster.ray_start import ray_cluster
    from qbitel.cluster.settings import ServiceSettings

    with ray_cluster(ServiceSettings(ray_cpus=4)):
        yield


@pytest.fixture(scope="session")
def service_address(ray_here: None, service_data: Path) -> Iterator[str]:
    """Give the address of the service, running on that Ray with free ports."""
    from qbitel.cluster.ray_start import free_port
    from qbitel.cluster.settings import ServiceSettings
    from qbitel.serve_app import running_service

    settings = ServiceSettings(
        port=free_port(), data_dir=service_data, max_body_bytes=4 << 20, heartbeat_timeout_s=6
    )
    with running_service(settings) as address:
        yield address
