"""One Ray and one running service for the whole run, started by the first test that asks for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Give the address of a PostgreSQL of the tests' own."""
    pytest.importorskip("psycopg", reason="needs the extra [cluster]")
    from qbitel.actors.partition.servers import postgres, postgres_program
    from qbitel.cluster.ray_start import free_port
    from qbitel.discovery.errors import NotFoundError

    try:
        postgres_program("postgres")
    except NotFoundError as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="qb", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # it may run as another user
        with postgres(Path(folder), free_port()) as address:
            yield address


@pytest.fixture
def server_catalog(postgres_server: str) -> str:
    """Return the address of an empty schema on that server: one is made in no time, a database is not."""
    import psycopg

    name = f"catalog_{token_hex(4)}"
    with psycopg.connect(postgres_server) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres_server}?options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty catalog: an SQLite file, then a database on a server."""
    if request.param == "sqlite":
        return str(tmp_path / "catalog.sqlite")
    address: str = request.getfixturevalue("server_catalog")
    return address


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URI of an S3 bucket on a server of the tests' own."""
    for package in ("moto", "s3fs"):
        pytest.importorskip(package, reason="needs the extra [dev]")
    from qbitel.actors.partition.servers import BUCKET
    from qbitel.actors.partition.servers import object_store as running
    from qbitel.cluster.ray_start import free_port

    with running(tmp_path_factory.mktemp("objects"), free_port()) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}"
