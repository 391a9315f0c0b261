"""Where a request comes from, behind proxies that are trusted to say so."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import Scope


class Proxies:
    """
    Proxies whose ``X-Forwarded-For`` is believed, by their networks.

    The address is the last of the list that none of them has: what stands before it anybody could have written.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(each) for each in networks)

    def client(self, scope: Scope) -> str:
        """Return the address of who asks; empty where the transport does not tell."""
        peer = str((scope.get("client") or ("",))[0])
        if not self._networks or not self._trusted(peer):
            return peer
        return self._behind(peer, _forwarded(scope))

    def _behind(self, peer: str, chain: list[str]) -> str:
        for each in reversed(chain):
            if not _is_address(each):
                return peer
            if not self._trusted(each):
                return each
            peer = each
        return peer

    def _trusted(self, address: str) -> bool:
        if not _is_address(address):
            return False
        found = ip_address(address)
        return any(found in network for network in self._networks if network.version == found.version)


def _forwarded(scope: Scope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [each.strip() for each in ",".join(values).split(",") if each.strip()][-16:]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
