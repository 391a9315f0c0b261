"""
Requests to addresses that a stranger has named.

Only what is reached by everybody may be asked, unless the operator allows it: a name is resolved here, every address it
has is judged, and the connection goes to the very address that was judged, so a name that resolves otherwise a moment
later (DNS rebinding) gains nothing. Redirects are not followed, proxies of the environment not used, answers not read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from ssl import SSLContext, create_default_context

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ..discovery.errors import InputError, QbitelError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

LONGEST = 2048
_NAT64 = ip_network("64:ff9b::/96")


class DeliveryError(QbitelError):
    """Whoever was sent to did not take it."""

    code = "delivery"
    retry = True


class Outbound:
    """
    Sends to addresses that strangers name.

    Args:
        allowed: networks that may be asked although they are not public, as ``10.1.0.0/16``; plain http only there.
        attempts: how often one delivery is tried. first_s, most_s: bounds of the wait between (full jitter).
        timeout_s: of each step of one attempt. total_s: of all attempts. trusted: certificates; None: the system's.

    Raises:
        ValueError: what is allowed is no network.
    """

    def __init__(
        self, allowed: Sequence[str] = (), *, attempts: int = 4, first_s: float = 0.5, most_s: float = 4.0,
        timeout_s: float = 5.0, total_s: float = 20.0, trusted: SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._allowed = tuple(ip_network(each) for each in allowed)
        self._attempts, self._waits, self._timeout_s, self._total_s = attempts, (first_s, most_s), timeout_s, total_s
        self._trusted = trusted or create_default_context()

    async def check(self, address: str) -> None:
        """
        Say whether an address may be asked at all.

        Raises:
            InputError: it may not, or there is no such host.
        """
        await self._target(address)

    async def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        """
        Send a body until it is taken with a status below 300, each time to an address that is judged anew.

        Raises:
            InputError: the address may not be asked. DeliveryError: it did not take the body.
        """
        tries = AsyncRetrying(
            stop=stop_after_attempt(self._attempts), wait=wait_random_exponential(*self._waits), reraise=True,
            retry=retry_if_exception_type(DeliveryError),
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._total_s):
                async for attempt in tries:
                    with attempt:
                        await self._once(address, body, headers)
        except TimeoutError as error:
            raise DeliveryError(f"not taken within {self._total_s:g} s", where=_shown(_parsed(address))) from error

    async def _once(self, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        url, found = await self._target(address)
        pinned = url.copy_with(host=str(found))
        certified = {"sni_hostname": url.host}
        named = {**headers, "Host": url.netloc.decode("ascii")}
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._trusted, timeout=self._timeout_s, trust_env=False, follow_redirects=False
                ) as client,
                # The certificate is held against the name, and the connection goes to the address.
                client.stream("POST", pinned, content=body, headers=named, extensions=certified) as got,
            ):
                status = got.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(f"not delivered: {type(error).__name__}", where=_shown(url)) from error
        if status >= 300:
            raise DeliveryError(f"not taken: status {status}", where=_shown(url))

    async def _target(self, address: str) -> tuple[httpx.URL, Address]:
        url = _parsed(address)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            loop = asyncio.get_running_loop()
            rows = await asyncio.wait_for(
                loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM), timeout=self._timeout_s
            )
        except (OSError, TimeoutError, UnicodeError) as error:
            raise InputError("no such host", where=_shown(url)) from error
        found = [ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
        for each in found:
            self._judge(url, each)
        return url, found[0]

    def _judge(self, url: httpx.URL, found: Address) -> None:
        real = _meant(found)
        if any(real.version == network.version and real in network for network in self._allowed):
            return
        if not real.is_global or real.is_multicast or real.is_reserved:
            hint = "an operator may allow its network: setting webhook_allow"
            raise InputError("an address that is not public", where=_shown(url), hint=hint)
        if url.scheme != "https":
            raise InputError("not https", where=_shown(url), hint="plain http is for networks that are allowed")


def _parsed(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address) if len(address) <= LONGEST else httpx.URL()
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("https", "http") or not url.host or url.userinfo or url.fragment:
        raise InputError("no address to send to", where="webhook", hint="https://host/path, without user or fragment")
    return url


def _meant(found: Address) -> Address:
    """Return the IPv4 address within an IPv6 one that stands for it."""
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found


def _shown(url: httpx.URL) -> str:
    """Return where it goes; paths and queries hold secrets of receivers."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
