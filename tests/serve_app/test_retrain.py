"""Retraining over HTTP: a real job of a real Ray, whose outcome is a registered version."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from qbitel.actors.partition.servers import raylets
from qbitel.cluster.catalog import open_catalog
from qbitel.cluster.registry import CHAMPION, Registry
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app.app import build_app
from qbitel.serve_app.service import Service
from qbitel.train.sets import TrainingSets, labelled_files
from qbitel.train.simulator import simulate

TINY = {"set": "plant", "examples": 8, "epochs": 1, "held_out": 6}


def ask(settings: ServiceSettings, *requests: tuple[str, str, Any]) -> list[httpx.Response]:
    """Make requests of a gateway in this process; the last one is made until the job has ended."""

    async def run() -> list[httpx.Response]:
        async def nowhere(job: str) -> None: ...

        app = build_app(Service(settings, open_catalog(settings.catalog_address), nowhere))
        answers = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            for method, path, body in requests:
                headers = {"Idempotency-Key": "once"} if method == "POST" else {}
                answers.append(await client.request(method, path, json=body, headers=headers))
            deadline = time.monotonic() + 300
            while requests[-1][0] == "GET" and answers[-1].json().get("status") in ("pending", "running"):
                assert time.monotonic() < deadline
                await asyncio.sleep(1)
                answers[-1] = await client.get(requests[-1][1])
        return answers

    return asyncio.run(run())


def test_without_a_cluster_that_trains_it_is_told_what_to_set(tmp_path: Path) -> None:
    """503 with the name of the setting; also where nothing listens at the address."""
    for address in (None, "http://127.0.0.1:9"):
        settings = ServiceSettings(data_dir=tmp_path, jobs_address=address)
        (answer,) = ask(settings, ("POST", "/v1/models/segmenter/retrain", TINY))
        assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "no-jobs", True)
    (answer,) = ask(settings, ("POST", "/v1/models/segmenter/retrain", {"set": "x; rm -rf /"}))
    assert answer.status_code == 422


def fill(sets: TrainingSets, folder: Path) -> None:
    """Add a set of three simulated protocols, each in six captures, with their boundaries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    many = (made for seed in range(900, 999) if len((made := simulate(seed, 60, "binary")).messages) == 60)
    for number, made in zip(range(3), many, strict=False):
        columns = {
            "payload": pa.array(made.messages, pa.binary()),
            "field_offsets": [[0, *found] for found in made.boundaries],
            "source_pcap": [f"{number}-{row % 6}" for row in range(60)],
        }  # fmt: skip
        pq.write_table(pa.table(columns), folder / f"p{number}.parquet")
    sets.add("plant", labelled_files(folder))


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_new_labels_become_a_challenger(tmp_path: Path) -> None:
    """The job trains on the set, is judged beside the champion, and its version is told; asked twice it runs once."""
    pytest.importorskip("torch")
    from qbitel.discovery.boundaries.network import __file__ as network

    settings = ServiceSettings(data_dir=tmp_path)
    state = settings.streams
    fill(TrainingSets(state.storage), tmp_path / "labelled")
    registry = Registry(state.engine, state.storage)
    registry.register("segmenter", Path(network).with_name("weights.safetensors").read_bytes(), {}, {})
    registry.alias("segmenter@1", CHAMPION)
    with raylets(0, head_cpus=2, serves=True) as ray:
        told = settings.model_copy(update={"jobs_address": ray.jobs})
        path = "/v1/models/segmenter/retrain"
        first, second = ask(told, ("POST", path, TINY), ("POST", path, TINY))
        assert first.status_code == 202, first.text
        assert first.json()["run"] == second.json()["run"]
        (ended,) = ask(told, ("GET", first.headers["Location"], None))
    found = ended.json()
    assert (found["status"], found["version"]) == ("succeeded", "segmenter@2"), found
    version = registry.version("segmenter@2")
    assert version.lineage["run"] == found["run"]
    assert found["challenger"] == ("challenger" in version.aliases)
    assert registry.version("segmenter").number == 1, "the champion stays until somebody moves its name"
