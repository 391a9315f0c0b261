"""One Ray and one running service for the whole run, started by the first test that asks for them."""

from __future__ import annotations

import gzip
import os
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex

import pytest
from hypothesis import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import SecretStr

# The same examples on every run, so that a red run is red again; `HYPOTHESIS_PROFILE=explore` draws new ones. No
# example has a deadline: the first call of a kernel compiles it.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Collector:
    """Takes spans by OTLP over HTTP, as real collectors do, on a free port from when it is made until it is closed."""

    def __init__(self) -> None:
        received = self._received = list[ExportTraceServiceRequest]()

        class _Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                received.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> list[Span]:
        """Return all spans that came so far."""
        resources = [each for request in list(self._received) for each in request.resource_spans]
        return [span for each in resources for scope in each.scope_spans for span in scope.spans]

    def service(self, span_id: bytes) -> str:
        """Return the service that a span came from."""
        for request in list(self._received):
            for each in request.resource_spans:
                if any(span.span_id == span_id for scope in each.scope_spans for span in scope.spans):
                    return {a.key: a.value.string_value for a in each.resource.attributes}["service.name"]
        raise LookupError(span_id.hex())


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Give a collector of spans that the running service sends to."""
    listening = Collector()
    yield listening
    listening.close()


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

    # Ray passes metrics on every ten seconds, and spans are sent every five: tests would wait for both.
    os.environ |= {"RAY_metrics_report_interval_ms": "500", "OTEL_BSP_SCHEDULE_DELAY": "300"}
    with ray_cluster(ServiceSettings(ray_cpus=4)):
        yield


@pytest.fixture(scope="session")
def service_address(ray_here: None, service_data: Path, collector: Collector) -> Iterator[str]:
    """Give the address of the service, running on that Ray with free ports."""
    from qbitel.cluster.ray_start import free_port
    from qbitel.cluster.settings import ServiceSettings
    from qbitel.serve_app import running_service

    settings = ServiceSettings(
        port=free_port(), data_dir=service_data, max_body_bytes=4 << 20, heartbeat_timeout_s=6,
        log_dir=service_data / "logs", log_requests=True, traces_endpoint=collector.endpoint, traces_share=0.0,
        webhook_secret=SecretStr(WEBHOOK_SECRET), webhook_allow=("127.0.0.0/8",),
    )  # fmt: skip
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
