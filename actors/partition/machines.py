"""A Ray of three machines with their servers, whose processes are started again when they end, as an operator would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ...cluster.ray_start import HEALTH_CHECKS
from ...discovery.errors import InputError
from .hosts import Hosts, hosts
from .servers import BUCKET, object_store, postgres, redis, wait_for

HEAD, NODES, STORE = "head", ("a", "b"), "store"
TUNED = {f"RAY_{name}": str(value) for name, value in HEALTH_CHECKS.items()}
_RAY = {
    "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0",
    "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip
_PORT = 6379
_START_S = 120.0
_BACK_S = 2.0  # before a process that ended is started again


class Kept:
    """
    A process that is started again whenever it ends, until ``stop``.

    Attributes:
        starts: how often it was started. log: what the newest start has written.
    """

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self._command, self._log, self._env = list(command), log, {**os.environ, **env}
        self._ending = threading.Event()
        self.starts = 0
        self._start()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    @property
    def log(self) -> Path:
        """The file that the newest start writes to."""
        return self._log.with_suffix(f".{self.starts}.log")

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The newest process."""
        return self._running

    def stop(self) -> None:
        """Let it end without another start."""
        self._ending.set()

    def join(self, patience_s: float) -> bool:
        """Return whether it ended in time of itself."""
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _start(self) -> None:
        self.starts += 1
        with self.log.open("wb") as file:
            self._running = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=self._env,
                start_new_session=True,
            )  # fmt: skip

    def _keep(self) -> None:
        while True:
            self._running.wait()
            if self._ending.wait(_BACK_S):
                return
            self._start()


@dataclass
class Machines:
    """
    Ray on the hosts ``head``, ``a`` and ``b``; catalog, objects and Redis on ``store``.

    Attributes:
        env: what leads to the object store, and how Ray checks its nodes. catalog: address of the catalog.
        rays: Ray's own processes by host.
    """

    hosts: Hosts
    folder: Path
    env: dict[str, str]
    catalog: str
    rays: dict[str, Kept] = field(default_factory=dict)
    _kept: list[Kept] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The URI of the storage."""
        return f"s3://{BUCKET}/state"

    @property
    def ray(self) -> str:
        """The address of Ray."""
        return f"{self.hosts.address(HEAD)}:{_PORT}"

    def python(self, host: str, module: str, *words: str) -> list[str]:
        """Return the command that runs a module on a host."""
        return [*self.hosts.on(host), sys.executable, "-m", module, *words]

    def run(self, command: Sequence[str]) -> str:
        """
        Run a command to its end, and return what it wrote.

        Raises:
            InputError: it wrote nothing, and failed.
        """
        done = subprocess.run(command, env={**os.environ, **self.env}, capture_output=True, text=True, check=False)
        if done.returncode and not done.stdout:
            raise InputError(f"failed: {done.stderr[-800:]}", where=" ".join(command[-12:]))
        return done.stdout

    def kept(self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None) -> Kept:
        """Start a process that is started again when it ends."""
        self._kept.append(Kept(command, self.folder / name, {**self.env, **(more or {})}))
        return self._kept[-1]

    def start_ray(self, redis_address: str) -> None:
        """Start Ray on its hosts, and return when all of them are up."""
        common = ("start", "--block", "--disable-usage-stats", "--object-store-memory", str(80 << 20))
        for host in (HEAD, *NODES):
            own = ("--node-ip-address", self.hosts.address(host))
            role = ("--address", self.ray, "--num-cpus", "2")
            if host == HEAD:
                role = ("--head", f"--port={_PORT}", "--num-cpus=0", "--include-dashboard=false")
            kept_in = {"RAY_REDIS_ADDRESS": redis_address} if host == HEAD else {}
            command = self.python(host, "ray.scripts.scripts", *common, *own, *role)
            self.rays[host] = self.kept(f"ray-{host}", command, kept_in)
            if host == HEAD:
                self.wait_for_ray(host)
        for host in NODES:
            self.wait_for_ray(host)

    def wait_for_ray(self, host: str) -> None:
        """
        Return when Ray is up on a host; one that gives its own start up, after 30 seconds, is started again.

        Raises:
            InputError: it is not in time.
        """
        until = time.monotonic() + _START_S
        while True:
            kept = self.rays[host]
            try:
                return wait_for(kept.log, "Ray runtime started", kept.running)
            except InputError:
                if time.monotonic() > until:
                    raise
                time.sleep(_BACK_S)

    def holders(self) -> dict[str, list[int]]:
        """Return the processes of holders by host."""
        return {host: self.hosts.processes(host, "ray::ShardHolder") for host in NODES}

    def stop(self) -> None:
        """End everything that is kept running."""
        for kept in self._kept:
            kept.stop()
        for host in (*NODES, HEAD):
            self.hosts.end(host)


@contextmanager
def machines(checks: Mapping[str, str]) -> Iterator[Machines]:
    """
    Give a running Ray of three hosts; everything ends with the block.

    Args:
        checks: how Ray checks its nodes, as environment.

    Raises:
        InputError: this machine does not let it, or a program is missing.
    """
    with ExitStack() as stack:
        # Not below /tmp, which every host has for itself; and open to the user that PostgreSQL runs as.
        made_folder = tempfile.TemporaryDirectory(prefix="qb", dir="/var/tmp", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made_folder))
        folder.chmod(0o755)
        made = stack.enter_context(hosts(folder, (HEAD, *NODES, STORE)))
        where = (made.address(STORE), made.on(STORE))
        catalog = stack.enter_context(postgres(folder, 5432, *where))
        objects = stack.enter_context(object_store(folder, 9000, *where))
        kept_in = stack.enter_context(redis(folder, 6380, *where))
        given = Machines(made, folder, {**_RAY, **checks, **objects}, catalog)
        stack.callback(given.stop)
        given.start_ray(kept_in)
        yield given
