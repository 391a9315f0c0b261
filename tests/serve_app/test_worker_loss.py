"""A discovery outlives the process that runs it."""

from __future__ import annotations

import base64
import time

import httpx
import ray


def kill_workers() -> int:
    """Kill every discovery worker of the running service, without warning; return how many there were."""
    named = [each for each in ray.util.list_named_actors(all_namespaces=True) if "DiscoveryWorker" in each["name"]]
    for each in named:
        ray.kill(ray.get_actor(each["name"], each["namespace"]), no_restart=True)
    return len(named)


def test_discovery_is_begun_again_when_its_worker_is_killed(client: httpx.Client) -> None:
    """Killed in the middle, a discovery is begun again by the next worker and ends with a result."""
    many = [bytes([n % 251, n // 251 % 251, n * 7 % 256]) * 8 + bytes([n % 5]) * (n % 40) for n in range(30000)]
    body = {"messages": [base64.b64encode(message).decode() for message in many]}
    answer = client.post("/v1/discoveries", json=body, headers={"Prefer": "respond-async"})
    address = answer.headers["Location"]
    deadline = time.monotonic() + 150
    while client.get(address).json()["status"] == "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert kill_workers() == 1
    while (found := client.get(address).json())["status"] in ("waiting", "running"):
        assert time.monotonic() < deadline, found["progress"]
        time.sleep(0.5)
    assert found["status"] == "done", found["problem"]
    assert found["attempts"] == 2
    assert len(found["results"]) == 1
