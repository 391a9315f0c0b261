"""Servers that tests start and stop: PostgreSQL, Redis, an object store that speaks S3, a Ray of several raylets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cluster.ray_start import HEALTH_CHECKS, free_port, prepare_environment
from ...discovery.errors import InputError, NotFoundError

BUCKET = "qbitel"
_SHARED = 80 << 20  # bytes of a raylet's object store
_PATIENCE_S = 60.0
_DEBIAN = Path("/usr/lib/postgresql")


def postgres_program(name: str) -> str:
    """
    Return the path of one of PostgreSQL's programs.

    Raises:
        NotFoundError: it is not installed.
    """
    found = shutil.which(name)
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if found is None and not versions:
        raise NotFoundError("not installed", where=name, hint="apt-get install postgresql")
    return found or str(versions[-1])


@contextmanager
def process(
    command: Sequence[str], log: Path, ready: str, *, stop: int = signal.SIGTERM, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """
    Run a server while the block runs; it begins when the server says that it is ready.

    Raises:
        InputError: it ended before, or said nothing in time.
    """
    with log.open("wb") as file:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
    try:
        wait_for(log, ready, running)
        yield running
    finally:
        running.send_signal(stop)
        try:
            running.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(log: Path, text: str, running: subprocess.Popen[bytes], patience_s: float = _PATIENCE_S) -> None:
    """
    Return when a process has written a text to its log.

    Raises:
        InputError: it ended before, or did not in time.
    """
    until = time.monotonic() + patience_s
    while text not in log.read_text(errors="replace"):
        if running.poll() is not None or time.monotonic() > until:
            said = log.read_text(errors="replace")[-400:].replace("\n", " ")
            raise InputError(f"{running.args!r} did not start: {said}", where=str(log))
        time.sleep(0.05)


@contextmanager
def postgres(folder: Path, port: int, host: str = "127.0.0.1", on: Sequence[str] = ()) -> Iterator[str]:
    """
    Give the address of a PostgreSQL with an empty database ``postgres`` and no passwords, which survives no power cut.

    Args:
        folder: for its files; it must be reachable for the user that it runs as. on: command that runs it elsewhere.

    Raises:
        NotFoundError: it is not installed.
    """
    data, log, rights = folder / "postgres", folder / "postgres.log", list[str]()
    data.mkdir()
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(data, "nobody")
        rights = ["setpriv", "--reuid=nobody", "--clear-groups"]
    with log.open("wb") as file:
        made = [postgres_program("initdb"), "-D", str(data), "-U", "qbitel", "-A", "trust", "-E", "UTF8", "--no-locale"]
        subprocess.run([*rights, *made, "--no-sync"], check=True, stdout=file, stderr=file, cwd=data)
    command = [postgres_program("postgres"), "-D", str(data), "-p", str(port), "-k", ""]
    settings = [f"listen_addresses={host}", f"hba_file={_trust(data)}", "max_connections=200", "fsync=off"]
    options = [word for setting in settings for word in ("-c", setting)]
    with process([*on, *rights, *command, *options], log, "ready to accept connections", stop=signal.SIGQUIT):
        yield f"postgresql://qbitel@{host}:{port}/postgres"


def _trust(data: Path) -> Path:
    """Return a file that lets every host in: the networks of the tests have no others."""
    path = data / "trusting.conf"
    path.write_text("host all all all trust\n")
    return path


@contextmanager
def redis(folder: Path, port: int, host: str = "127.0.0.1", on: Sequence[str] = ()) -> Iterator[str]:
    """
    Give the address of a Redis that keeps nothing on the disk.

    Raises:
        NotFoundError: it is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise NotFoundError("not installed", where="redis-server", hint="apt-get install redis-server")
    command = [program, "--port", str(port), "--bind", host, "--save", "", "--protected-mode", "no"]
    with process([*on, *command, "--dir", str(folder)], folder / "redis.log", "Ready to accept connections"):
        yield f"{host}:{port}"


@contextmanager
def object_store(folder: Path, port: int, host: str = "127.0.0.1", on: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """
    Give the environment that leads ``s3://qbitel/…`` to an object store (moto's server), which is empty.

    Raises:
        InputError: it did not start: moto, flask and flask-cors are of the extra [dev].
    """
    env = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    command = [*on, sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    with process(command, folder / "objects.log", "Running on"):
        bucket = (
            "import sys, urllib.request as r;"
            "r.urlopen(r.Request(sys.argv[1], method='PUT', headers={'Authorization': sys.argv[2]})).read()"
        )
        signed = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request"
        made = [*on, sys.executable, "-c", bucket, f"http://{host}:{port}/{BUCKET}", signed]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        yield env


@dataclass
class Raylets:
    """
    A Ray of several raylets on this machine, the first of them its head.

    Attributes:
        cluster: Ray's own handle of it (``ray.cluster_utils.Cluster``), which can kill and add raylets.
        client: ``ray://`` address; jobs: address for ``ray job submit``. Both only where it was asked to serve.
    """

    cluster: Any
    client: str = ""
    jobs: str = ""

    def add(self) -> None:
        """Start a raylet."""
        self.cluster.add_node(num_cpus=2, object_store_memory=_SHARED)


@contextmanager
def raylets(count: int, head_cpus: int = 0, *, serves: bool = False) -> Iterator[Raylets]:
    """
    Give a Ray of a head and so many other raylets, with fast health checks; nothing is connected to it.

    Args:
        head_cpus: cores of the head; the others have two. serves: it takes clients and jobs, too.
    """
    prepare_environment()
    # Unix socket paths end at 107 bytes, and Ray adds about 80 of its own: the folder lies right under /tmp.
    own = tempfile.mkdtemp(prefix="qb", dir="/tmp")
    head: dict[str, Any] = {"num_cpus": head_cpus, "include_dashboard": serves, "temp_dir": own}
    given = Raylets(None)
    if serves:
        ports = {name: free_port() for name in ("ray_client_server", "dashboard", "dashboard_agent_listen")}
        head |= {"dashboard_host": "127.0.0.1", **{f"{name}_port": port for name, port in ports.items()}}
        given.client = f"ray://127.0.0.1:{ports['ray_client_server']}"
        given.jobs = f"http://127.0.0.1:{ports['dashboard']}"
    before = os.environ.get("RAY_TMPDIR")
    # There Ray notes the newest one's address, for whoever asks for "auto": nobody else's shall be this one.
    os.environ["RAY_TMPDIR"] = own
    (Path(own) / "ray").mkdir()
    from ray.cluster_utils import Cluster

    try:
        given.cluster = Cluster(
            initialize_head=True,
            head_node_args={**head, "object_store_memory": _SHARED, "_system_config": HEALTH_CHECKS},
        )
        for _ in range(count):
            given.add()
        yield given
    finally:
        if given.cluster is not None:
            given.cluster.shutdown()
        os.environ.pop("RAY_TMPDIR") if before is None else os.environ.update(RAY_TMPDIR=before)
        shutil.rmtree(own, ignore_errors=True)
