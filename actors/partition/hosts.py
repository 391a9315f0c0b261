"""
Hosts on this machine: network namespaces on one switch, each with a host name and a /tmp of its own.

The switch is a namespace too, and drops what it is told to drop, in each direction by itself; nothing touches the
network of the machine. Needs root, iproute2 and nftables.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...discovery.errors import InputError

_NETWORK = "10.77.0"
_TABLE = "bridge faults"
# Runs a command as a host: $0 its name, $1 its /tmp, then what it sees of this machine's /tmp, then -- and the command.
# No PID namespace: Ray's driver would not find its processes.
_AS_HOST = """set -e
hostname "$0"; own=$1; shift
while [ "$1" != -- ]; do mkdir -p "$own${1#/tmp}"; mount --bind "$1" "$own${1#/tmp}"; shift; done
shift; mount --rbind "$own" /tmp; exec "$@"
"""
_CODE = [sys.prefix, str(Path(__file__).resolve().parents[2])]  # the environment and the package, wherever they lie


class Hosts:
    """
    Hosts that can be cut from one another.

    Args:
        folder: for their /tmp; not below /tmp, which each host has for itself. names: of the hosts.

    Raises:
        InputError: this process may not make network namespaces, or ip or nft is missing.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._prefix = f"qb{os.getpid()}"
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        self._folder = folder
        self._switch = f"{self._prefix}-switch"

    def open(self) -> None:
        """Make the hosts and connect them."""
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        for name, number in self._numbers.items():
            host, port = self._namespace(name), f"port{number}"
            self.folder(name).mkdir(parents=True)
            _ip("netns", "add", host)
            _ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
            _ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
            _ip("-n", host, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "lo", "up")
            _ip("-n", host, "link", "set", "eth0", "up")
            # Ray asks the kernel for the address that leads to the internet.
            _ip("-n", host, "route", "add", "default", "via", f"{_NETWORK}.254")
        self.heal()

    def close(self) -> None:
        """End everything that runs on the hosts, and remove them."""
        for name in self._numbers:
            self.end(name)
            _ip("netns", "del", self._namespace(name), check=False)
        _ip("netns", "del", self._switch, check=False)

    def address(self, name: str) -> str:
        """Return the IPv4 address of a host."""
        return f"{_NETWORK}.{self._numbers[name]}"

    def folder(self, name: str) -> Path:
        """Return what a host sees as /tmp."""
        return self._folder / "hosts" / name

    def on(self, name: str) -> list[str]:
        """Return the words before a command that run it on a host."""
        seen = [path for path in _CODE if path.startswith("/tmp/")]
        inside = ["unshare", "--mount", "--uts", "sh", "-c", _AS_HOST, name, str(self.folder(name)), *seen, "--"]
        return ["ip", "netns", "exec", self._namespace(name), *inside]

    def drop(self, ways: Iterable[tuple[Iterable[str], Sequence[str]]], percent: int = 100) -> None:
        """Drop so many of the packets that go one of these ways (from hosts, to hosts), and no others."""
        chance = "" if percent == 100 else f"numgen random mod 100 < {percent} "
        self._rules(
            [
                f"ip saddr {self.address(source)} ip daddr {self.address(target)} {chance}drop"
                for sources, targets in ways
                for source in sources
                for target in targets
            ]
        )

    def heal(self) -> None:
        """Drop nothing any more."""
        self._rules([])

    def processes(self, name: str, what: str = "") -> list[int]:
        """Return the processes of a host whose command line has a text."""
        found = _ip("netns", "pids", self._namespace(name), check=False).split()
        return [int(pid) for pid in found if what in _command_line(int(pid))]

    def end(self, name: str) -> None:
        """Kill all processes of a host."""
        while left := self.processes(name):
            for pid in left:
                kill(pid)

    def _rules(self, rules: list[str]) -> None:
        chain = "\n".join(["type filter hook forward priority 0", *rules])
        script = f"table {_TABLE}\ndelete table {_TABLE}\ntable {_TABLE} {{\nchain forward {{\n{chain}\n}}\n}}\n"
        _run(["ip", "netns", "exec", self._switch, "nft", "-f", "-"], text=script)

    def _namespace(self, name: str) -> str:
        return f"{self._prefix}-{name}"


@contextmanager
def hosts(folder: Path, names: Sequence[str]) -> Iterator[Hosts]:
    """
    Give hosts that end with the block, with everything that runs on them.

    Raises:
        InputError: as of ``Hosts``.
    """
    made = Hosts(folder, names)
    try:
        made.open()
        yield made
    finally:
        made.close()


def kill(pid: int) -> None:
    """Kill a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _ip(*words: str, check: bool = True) -> str:
    return _run(["ip", *words], check=check)


def _run(command: list[str], text: str = "", *, check: bool = True) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        hint = "apt-get install iproute2 nftables"
        raise InputError("not installed", where=str(error.filename), hint=hint) from None
    if check and done.returncode:
        hint = "network namespaces need root, and a container that may make them"
        raise InputError(done.stderr.strip(), where=" ".join(command[:4]), hint=hint)
    return done.stdout
