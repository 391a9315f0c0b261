"""Known specifications over real HTTP: versions, what differs, what is known already, deletion."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

FIRST = [b"\x51\x02" + bytes([n, 3 + n % 4]) + b"y" * (3 + n % 4) for n in range(90)]
LATER = [b"\x51" + bytes([2 + n % 3, n, 3 + n % 4]) + b"y" * (3 + n % 4) for n in range(90)]


def found_in(client: httpx.Client, messages: list[bytes], name: str) -> str:
    """Discover messages and return the id of their specification."""
    body = {"messages": [base64.b64encode(each).decode() for each in messages], "context": {"protocol": name}}
    answer = client.post("/v1/discoveries", json=body)
    client.get(f"{answer.headers['Location']}/events")
    spec_id: str = client.get(answer.headers["Location"]).json()["results"][0]["id"]
    return spec_id


@pytest.fixture(scope="module")
def ids(client: httpx.Client) -> tuple[str, str]:
    """Return the ids of two specifications of one name."""
    return found_in(client, FIRST, "versioned"), found_in(client, LATER, "versioned")


def test_a_list_goes_by_name_and_page(client: httpx.Client, ids: tuple[str, str]) -> None:
    """The newest first, one a page, only of that name."""
    first = client.get("/v1/protocols", params={"protocol": "versioned", "limit": 1}).json()
    second = client.get("/v1/protocols", params={"protocol": "versioned", "limit": 1, "after": first["next"]}).json()
    assert [each["id"] for page in (first, second) for each in page["protocols"]] == [ids[1], ids[0]]
    assert second["next"] is None


def test_what_is_known_already_is_not_sent_again(client: httpx.Client, ids: tuple[str, str]) -> None:
    """A document and its exports have ETags; naming it gives 304 without a body, another one gives the document."""
    for path in ("", "/exports/wireshark", "/exports/dot"):
        address = f"/v1/protocols/{ids[0]}{path}"
        etag = client.get(address).headers["etag"]
        same = client.get(address, headers={"If-None-Match": f'"other", W/{etag}'})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
        assert client.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_document_is_found_by_version_and_digest(client: httpx.Client, ids: tuple[str, str]) -> None:
    """References name the same document as the id does, or are a problem."""
    newest = client.get(f"/v1/protocols/{ids[0]}").json()
    (version,) = client.get(f"/v1/protocols/{ids[0]}/versions").json()["versions"]
    for reference in (f"{ids[0]}@v1", f"{ids[0]}@{newest['digest']}"):
        assert client.get(f"/v1/protocols/{reference}").json()["spec"] == newest["spec"]
    assert client.get(version["links"]["export:dot"]).status_code == 200
    for reference in (f"{ids[0]}@v7", f"{ids[0]}@{'0' * 64}", f"{ids[0]}@", "a@b@c"):
        refused = client.get(f"/v1/protocols/{reference}")
        assert (refused.status_code, refused.json()["code"]) == (404, "not-found")


def test_difference_of_two_documents_is_told(client: httpx.Client, ids: tuple[str, str]) -> None:
    """What differs is named by kind and path; of a document and itself nothing does."""
    told: dict[str, Any] = client.get(f"/v1/protocols/{ids[1]}/diff", params={"from": ids[0]}).json()
    assert (told["before"]["id"], told["after"]["id"]) == ids
    assert told["changes"] and all(each["kind"] and each["path"] for each in told["changes"])
    assert client.get(f"/v1/protocols/{ids[1]}/diff", params={"from": "v1"}).json()["changes"] == []
    assert client.get(f"/v1/protocols/{ids[1]}/diff", params={"from": "v9"}).status_code == 404


def test_deleted_protocol_is_known_no_more(client: httpx.Client) -> None:
    """Neither its document nor parsing with it is left, and deleting it again is a 404."""
    spec_id = found_in(client, [each + b"\x07\x07" for each in FIRST], "short_lived")
    assert client.delete(f"/v1/protocols/{spec_id}").json() == {"id": spec_id, "documents": 1}
    assert client.get(f"/v1/protocols/{spec_id}").status_code == 404
    body = {"protocol": spec_id, "messages": [base64.b64encode(FIRST[0]).decode()]}
    assert client.post("/v1/parse", json=body).status_code == 404
    assert client.delete(f"/v1/protocols/{spec_id}").status_code == 404
    # What was answered before is not given again: it would name what is gone.
    assert found_in(client, [each + b"\x07\x07" for each in FIRST], "short_lived") == spec_id
    assert client.get(f"/v1/protocols/{spec_id}").status_code == 200
