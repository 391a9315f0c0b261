"""
The demonstration: start the service, send it a capture over HTTP, watch, and keep what it finds.

    python -m examples.demo [--capture FILE] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from qbitel import read_capture
from qbitel.cli.listing import LEGEND, coverage_text, summary_line, summary_table
from qbitel.cluster.ray_start import free_port, ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.exports import FORMATS
from qbitel.discovery.spec import ProtocolSpec
from qbitel.evidence_text import claim_lines
from qbitel.results import write_examples
from qbitel.serve_app import running_service

PLANT = Path(__file__).parent / "captures" / "plant.pcapng"
WIDTH = 132


def main() -> int:
    """Run the demonstration; exit code 1 where the discovery did not end well."""
    options = argparse.ArgumentParser(description="Send a capture to the service and show what it finds.")
    options.add_argument("--capture", type=Path, default=PLANT)
    options.add_argument("--out", type=Path, default=Path("demo-out"))
    chosen = options.parse_args()
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    began = perf_counter()
    with tempfile.TemporaryDirectory(prefix="qbitel-demo-") as folder:
        settings = ServiceSettings(port=free_port(), data_dir=Path(folder))
        console.print("starting Ray and the service ...")
        with ray_cluster(settings), running_service(settings) as address:
            console.print(f"listening on {address} after {perf_counter() - began:.1f} s")
            with httpx.Client(base_url=address, timeout=120) as client:
                status = show(client, chosen.capture, chosen.out, console)
    console.print(f"\n{perf_counter() - began:.1f} s in all")
    return status


def show(client: httpx.Client, capture: Path, out: Path, console: Console) -> int:
    """Send the capture, print progress and results, and write the result folder."""
    with capture.open("rb") as content:
        headers = {"Prefer": "respond-async"}
        sent = client.post("/v1/discoveries", files={"capture": (capture.name, content)}, headers=headers)
    sent.raise_for_status()
    address = sent.headers["Location"]
    console.print(f"sent {capture.name} ({capture.stat().st_size} bytes): {sent.status_code}, {address}\n")
    for event, data in events(client, f"{address}/events"):
        if event == "stage" and data["fraction"] > 0:
            seconds = "" if data.get("seconds") is None else f"{data['seconds']:.2f} s"
            line = f"{data['protocol']}  {data['name']:<12} {data['status']:<8} {100 * data['fraction']:3.0f} %"
            console.print(f"  {line}  {seconds}")
    found = client.get(address).raise_for_status().json()
    if found["status"] != "done":
        problem = found["problem"] or {}
        console.print(f"the discovery is {found['status']}: {problem.get('detail', '')} {problem.get('hint', '')}")
    for result in found["results"]:
        print_result(result, console)
        console.print(f"\nwritten: {write(client, result, capture, out)}")
    write_index(found["results"], out)
    if found["results"]:
        print_next(found["results"][0], out, console)
    return 0 if found["status"] == "done" and found["results"] else 1


def events(client: httpx.Client, address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (event, data) of a stream of server-sent events until it ends."""
    name = ""
    with client.stream("GET", address) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


def print_result(result: dict[str, Any], console: Console) -> None:
    """Print types, key field, fields with meaning, constraints with support, coverage, and seconds per stage."""
    spec = ProtocolSpec.from_bytes(json.dumps(result["spec"]))
    console.print()
    console.print(summary_line(spec), soft_wrap=True)
    console.print(summary_table(spec))
    console.print(f"{LEGEND}\n", style="bright_black", markup=False, soft_wrap=True)
    measures = spec.measures
    kept_back = f"{measures.held_out_explained} of {measures.held_out_messages} messages kept back from inference parse"
    console.print(f"{coverage_text(spec)}: {kept_back}\n")
    table = Table("stage", "status", "seconds", "found", box=None, header_style="bold")
    for stage in result["stages"]:
        seconds = "" if stage["seconds"] is None else f"{stage['seconds']:.3f}"
        table.add_row(stage["name"], stage["status"], seconds, stage["message"])
    console.print(table)
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def print_next(result: dict[str, Any], out: Path, console: Console) -> None:
    """Print what to try on the folder that was written."""
    kind = max(result["spec"]["types"], key=lambda each: each["messages"])["name"]
    for what, command in (
        ("a message as hex and tree", f".venv/bin/qbitel show {out} --type {kind} --msg 0"),
        ("the evidence for a claim", f".venv/bin/qbitel why {out} {'key' if result['spec']['key'] else kind}"),
        ("every claim's evidence", f"less {out / result['protocol'] / 'evidence.txt'}"),
        ("the dissector", f"tshark -X lua_script:{out / result['protocol'] / 'dissector.lua'} -r CAPTURE -V"),
    ):
        console.print(f"  {what:<28}{command}", markup=False, soft_wrap=True)


def write(client: httpx.Client, result: dict[str, Any], capture: Path, out: Path) -> Path:
    """Write the specification, its evidence, its exports and example messages; return the folder."""
    folder = out / result["protocol"]
    folder.mkdir(parents=True, exist_ok=True)
    spec = ProtocolSpec.from_bytes(json.dumps(result["spec"]))
    (folder / "spec.json").write_text(json.dumps(result["spec"], indent=1, sort_keys=True) + "\n", encoding="utf-8")
    evidence = [line for claim in sorted(spec.evidence) for line in (*claim_lines(spec, claim), "")]
    (folder / "evidence.txt").write_text("\n".join(evidence), encoding="utf-8")
    for form, (_, name) in FORMATS.items():
        exported = client.get(f"/v1/protocols/{result['id']}/exports/{form}").raise_for_status()
        (folder / name).write_text(exported.text, encoding="utf-8")
    (protocol,) = protocols_in([read_capture(capture)], result["protocol"], spec.framing)
    write_examples(folder, spec, protocol.messages)
    return folder


def write_index(results: list[dict[str, Any]], out: Path) -> None:
    """Write the index that the command reads: ``qbitel show DIR`` works on the folder."""
    entries = [{"protocol": r["protocol"], "folder": r["protocol"], "id": r["id"]} for r in results]
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").write_text(
        json.dumps({"protocols": entries, "warnings": []}, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
