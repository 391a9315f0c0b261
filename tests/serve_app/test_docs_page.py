"""The page that describes the API."""

from __future__ import annotations

import re

import httpx


def test_the_page_of_the_api_needs_no_other_host(client: httpx.Client) -> None:
    """Scripts and styles of ``/docs`` come from the service itself: a browser without a network shows the page."""
    page = client.get("/docs").text
    needed = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(needed) >= 2 and not [place for place in needed if "//" in place]
    for place in needed:
        assert client.get(place).status_code == 200, place
