"""The command does what its help says, in one process a call, with the documented exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_help_lists_every_command_and_loads_nothing_heavy(run: Run) -> None:
    """``qbitel --help`` names all commands; neither Ray, torch, numba nor pyarrow is imported for it."""
    text = run("--help").stdout
    for name in (
        "discover",
        "show",
        "why",
        "parse",
        "validate",
        "fields",
        "export",
        "digest",
        "serve",
        "bench",
        "doctor",
    ):
        assert f"  {name} " in text
    code = (
        "import sys, contextlib, io\nimport qbitel\nfrom qbitel.cli import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    cli(['--help'], standalone_mode=False)\n"
        "print([m for m in ('ray', 'torch', 'numba', 'pyarrow', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_runs_as_a_process(plant: Path, plant_file: Path) -> None:
    """A process of its own ends with the documented exit code, also where the reader of its output goes away."""
    command = [sys.executable, "-m", "qbitel.cli"]
    gone = subprocess.run([*command, "show", "nowhere"], capture_output=True, text=True, check=False)
    assert (gone.returncode, len(gone.stderr.splitlines())) == (3, 1)
    with subprocess.Popen(
        [*command, "fields", plant, plant_file], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as fields:
        assert fields.stdout is not None and fields.stderr is not None
        fields.stdout.readline()
        fields.stdout.close()
        assert fields.stderr.read() == b""
        assert fields.wait(60) == 0


def test_discover_writes_a_folder_that_other_commands_read(plant: Path) -> None:
    """The index lists the protocol, and its folder holds the specification, the exports and the evidence."""
    index = json.loads((plant / "index.json").read_text())
    (entry,) = index["protocols"]
    folder = plant / entry["folder"]
    for name in (
        "spec.json",
        "evidence.txt",
        "parser.py",
        "dissector.lua",
        "schema.json",
        "types.dot",
        "messages.arrow",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert entry["held_out_coverage"] > 0.9


def test_show_lists_types_and_fields(plant: Path, run: Run) -> None:
    """The summary names the key field and the meaning of fields; the JSON is the specification."""
    text = run("show", plant).stdout
    assert "key field @2" in text and "length" in text and "checksum" in text
    assert json.loads(run("show", plant, "--json").stdout)["schema_version"] == 1


def test_show_prints_one_message_as_hex_and_tree(plant: Path, run: Run) -> None:
    """A message of a type is shown with its bytes, and as JSON with its fields."""
    name = json.loads(run("show", plant, "--json").stdout)["types"][0]["name"]
    text = run("show", plant, "--type", name, "--msg", "0").stdout
    assert "000000 " in text and "50" in text
    assert json.loads(run("show", plant, "--type", name, "--msg", "0", "--json").stdout)["type"] == name


def test_why_gives_support_and_rivals(plant: Path, run: Run) -> None:
    """Every claim of the specification can be asked for, and an unknown one lists near ones."""
    claims = json.loads(run("show", plant, "--json").stdout)["evidence"]
    assert any(claim.startswith("length:") for claim in claims)
    for claim in list(claims)[:6]:
        assert "held out" in run("why", plant, claim).stdout
    assert "no claim" in run("why", plant, "length:nowhere.f", expect=5).stderr


def test_why_takes_a_kind_a_type_or_a_field(plant: Path, run: Run) -> None:
    """A kind, a type or a field shows all claims about it, as text or as a line of JSON each."""
    spec = json.loads(run("show", plant, "--json").stdout)
    claim = next(claim for claim in spec["evidence"] if claim.startswith("length:"))
    subject = claim.partition(":")[2]
    assert run("why", plant, "key").stdout == run("why", plant, "key:protocol").stdout
    lines = run("why", plant, subject, "--json").stdout.splitlines()
    assert claim in [json.loads(line)["claim"] for line in lines]
    kind = spec["types"][0]
    by_label = run("why", plant, f"type:{kind['label'].rpartition('=')[2]}").stdout
    assert by_label == run("why", plant, f"type:{kind['name']}").stdout
    assert "refutation" not in by_label


def test_a_head_that_types_share_is_listed_once(plant: Path, run: Run) -> None:
    """The summary names the common fields once; a single type is shown in full."""
    text = run("show", plant).stdout
    assert "types begin with" in text and "above" in text
    name = json.loads(run("show", plant, "--json").stdout)["types"][0]["name"]
    assert "above" not in run("show", plant, "--type", name).stdout


def test_parse_gives_a_line_a_message_and_the_same_rows_as_arrow(
    plant: Path, plant_file: Path, run: Run, tmp_path: Path
) -> None:
    """NDJSON, Arrow and Parquet hold one row for each message, in order, with the same types."""
    lines = [json.loads(line) for line in run("parse", plant, plant_file).stdout.splitlines()]
    assert [line["row"] for line in lines] == list(range(300))
    run("parse", plant, plant_file, "--format", "parquet", "--out", tmp_path / "x.parquet")
    run("parse", plant, plant_file, "--format", "arrow", "--out", tmp_path / "x.arrow")
    parquet = pq.read_table(tmp_path / "x.parquet")
    with pa.ipc.open_stream(str(tmp_path / "x.arrow")) as reader:
        arrow = reader.read_all()
    assert parquet.column("type").to_pylist() == arrow.column("type").to_pylist() == [line["type"] for line in lines]


def test_fields_gives_every_row_in_order(plant: Path, plant_file: Path, run: Run) -> None:
    """One object a message: row, type, inner boundaries, meanings that lie inside the message."""
    payloads = pq.read_table(plant_file).column("payload").to_pylist()
    lines = [json.loads(line) for line in run("fields", plant, plant_file, "--ndjson").stdout.splitlines()]
    assert [line["row"] for line in lines] == list(range(len(payloads)))
    for line, payload in zip(lines, payloads, strict=True):
        assert line["boundaries"] == sorted({b for b in line["boundaries"] if 0 < b < len(payload)})
        assert all(s["start"] >= 0 and s["start"] + s["length"] <= len(payload) for s in line["semantics"])
    # Magic and type are constant within a type; the boundary before the counter has to be there in nearly all.
    assert sum(3 in line["boundaries"] for line in lines) > 280


def test_validate_accepts_the_capture_and_names_what_is_wrong(
    plant: Path, plant_file: Path, run: Run, tmp_path: Path
) -> None:
    """The messages it was learned from are valid; a flipped checksum is invalid at level strict and names the field."""
    run("validate", plant, plant_file, "--level", "standard")
    payloads = pq.read_table(plant_file).column("payload").to_pylist()
    broken = tmp_path / "broken.hex"
    broken.write_text(payloads[0].hex() + "\n" + (payloads[1][:-1] + bytes([payloads[1][-1] ^ 1])).hex() + "\n")
    lines = run("validate", plant, broken, "--level", "strict", "--json", expect=1).stdout.splitlines()
    verdicts = [json.loads(line) for line in lines]
    assert [v["valid"] for v in verdicts] == [True, False]
    assert any("checksum" in v["rule"] for v in verdicts[1]["violations"])


def test_digest_is_the_same_for_any_shards_and_order(plant_file: Path, run: Run) -> None:
    """One, three and sixty-four shards, shuffled or not: one digest, one specification."""
    found = [
        json.loads(run("digest", plant_file, *options, "--json").stdout)
        for options in ((), ("--shards", "3"), ("--shards", "64", "--shuffle", "5"))
    ]
    assert len({f["digest"] for f in found}) == 1
    assert len({f["spec_id"] for f in found}) == 1 and found[0]["spec_id"]


def test_a_capture_that_is_cut_is_told_with_its_digest(example_captures: Path, run: Run, tmp_path: Path) -> None:
    """The digest of what is left of a truncated capture comes with a warning, for people and for programs."""
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((example_captures / "dns.pcap").read_bytes()[:3000])
    done = run("digest", cut, "--json")
    assert "warning: the file ends within a packet" in done.stderr
    assert "the file ends within a packet" in json.loads(done.stdout)["warnings"][0]


def test_the_same_capture_counts_once(plant_file: Path, run: Run, tmp_path: Path) -> None:
    """A capture that is named twice in one command is read once, and said to be left out."""
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(plant_file.read_bytes())
    done = run("discover", plant_file, copy, "--out", tmp_path / "out", "--json")
    document = json.loads(done.stdout)
    assert document["protocols"][0]["measures"]["messages"] == 300
    assert "copy.parquet: the same capture as" in document["warnings"][0]


def test_a_dash_is_standard_input(plant: Path, plant_file: Path) -> None:
    """Captures and inputs can be piped in."""
    command = [sys.executable, "-m", "qbitel.cli", "fields", str(plant), "-"]
    done = subprocess.run(command, input=plant_file.read_bytes(), capture_output=True, check=True, timeout=60)
    assert len(done.stdout.splitlines()) == 300


def test_extend_learns_on_and_says_what_changed(plant_file: Path, run: Run, tmp_path: Path) -> None:
    """A second capture gives version 2 with the counts of both, under the seed that the first was read with."""
    folder = tmp_path / "grown"
    payloads = pq.read_table(plant_file).column("payload").to_pylist()
    for name, part in (("a.hex", payloads[:200]), ("b.hex", payloads[200:])):
        (tmp_path / name).write_text("\n".join(p.hex() for p in part) + "\n")
    run("discover", tmp_path / "a.hex", "--out", folder, "--seed", "7")
    run("discover", tmp_path / "b.hex", "--out", folder, "--extend")
    (entry,) = json.loads((folder / "index.json").read_text())["protocols"]
    assert (entry["version"], entry["messages"]) == (2, 300)
    spec = json.loads((folder / entry["folder"] / "spec.json").read_text())
    assert spec["provenance"]["seed"] == 7


def test_extend_begins_a_folder_and_counts_no_capture_twice(plant_file: Path, run: Run, tmp_path: Path) -> None:
    """A folder that is not there is begun; the same capture again is refused, for its messages are in already."""
    run("discover", plant_file, "--out", tmp_path / "new", "--extend")
    again = run("discover", plant_file, "--out", tmp_path / "new", "--extend", expect=3)
    assert "learned from these captures before" in again.stderr


def test_messages_of_one_packet_have_places_of_their_own(example_captures: Path, run: Run, tmp_path: Path) -> None:
    """Where several messages begin in a TCP packet, verdicts and ``show`` tell them apart."""
    capture = example_captures / "plant_tcp.pcapng"
    run("discover", capture, "--out", tmp_path)
    lines = [json.loads(line) for line in run("validate", tmp_path, capture, "--json", expect=0).stdout.splitlines()]
    places = [(line["number"], line["part"]) for line in lines]
    assert len(set(places)) == len(places) and max(part for _, part in places) > 0
    second = next(f"{packet}.{part}" for packet, part in places if part)
    first = run("show", tmp_path, "--msg", second.partition(".")[0]).stdout
    assert run("show", tmp_path, "--msg", second).stdout != first
    assert "like 57 or 57.2" in run("show", tmp_path, "--msg", "x", expect=2).stderr


@pytest.mark.parametrize("form", ["python", "wireshark", "json-schema", "dot"])
def test_export_writes_what_the_folder_holds(plant: Path, run: Run, form: str) -> None:
    """Each export is printed on standard output."""
    assert len(run("export", plant, "--to", form).stdout) > 100


def test_same_input_gives_the_same_bytes(plant_file: Path, plant: Path, run: Run, tmp_path: Path) -> None:
    """A second discovery writes byte for byte the same files."""
    run("discover", plant_file, "--out", tmp_path)
    for path in sorted(plant.rglob("*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(plant)).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, 3, "missing.pcap"),
        (b"", 3, "empty"),
        (b"\x00\x01\x02garbage that is no capture" * 3, 3, "format"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    content: bytes | None, code: int, words: str, run: Run, tmp_path: Path
) -> None:
    """A missing, empty or unknown file is told in one line on standard error."""
    path = tmp_path / "missing.pcap"
    if content is not None:
        path.write_bytes(content)
    done = run("discover", path, "--out", tmp_path / "out", expect=code)
    assert len(done.stderr.strip().splitlines()) == 1 and words in done.stderr


def test_wrong_usage_is_one_line_and_exit_code_2(plant: Path, run: Run) -> None:
    """An unknown option, a missing argument and a bad value say what is wrong and where help is."""
    for arguments in (["show", plant, "--nope"], ["parse", plant], ["export", plant, "--to", "ksy"]):
        done = run(*arguments, expect=2)
        assert len(done.stderr.strip().splitlines()) == 1 and f"{arguments[0]} --help" in done.stderr


def test_output_that_cannot_be_written_is_one_line(plant: Path, plant_file: Path, run: Run, tmp_path: Path) -> None:
    """A file in a folder that does not exist is an error of exit code 3 for every command that writes one."""
    gone = tmp_path / "gone" / "file"
    for arguments in (["parse", plant, plant_file], ["export", plant, "--to", "dot"]):
        assert "cannot write" in run(*arguments, "--out", gone, expect=3).stderr


def test_a_capture_of_another_protocol_is_told(plant: Path, example_captures: Path, run: Run) -> None:
    """Messages of another port are read as asked, with a warning that names what they are."""
    done = run("parse", plant, example_captures / "dns.pcap")
    assert "holds udp_53" in done.stderr


def test_a_capture_of_several_other_protocols_is_read_by_port(plant: Path, run: Run, tmp_path: Path) -> None:
    """Where none of an input's protocols has the specification's name, the error says how to choose, and that works."""
    both = tmp_path / "two.pcap"
    host = IP(src="10.0.0.1", dst="10.0.0.2")
    wrpcap(str(both), [Ether() / host / UDP(sport=40000 + port, dport=port) / b"PL1" for port in (7, 9)])
    refused = run("fields", plant, both, expect=5)
    assert "two.pcap: 2 protocols and no messages (--port reads one of: udp_7, udp_9)" in refused.stderr
    for command in ("fields", "parse"):
        assert len(run(command, plant, both, "--port", "9").stdout.splitlines()) == 1
    assert "of 1 messages valid" in run("validate", plant, both, "--port", "9", "--level", "basic", expect=1).stdout


def test_many_protocols_are_listed_a_row_each(run: Run, tmp_path: Path) -> None:
    """A capture of several protocols prints an overview, and every protocol is in the folder."""
    rows = [(port, bytes([port % 7, i, 3, 4])) for port in (5001, 5002, 5003, 5004) for i in range(20)]
    table = {"payload": [payload for _, payload in rows], "dport": [port for port, _ in rows]}
    pq.write_table(pa.table({**table, "transport": ["udp"] * len(rows)}), tmp_path / "four.parquet")
    text = run("discover", tmp_path / "four.parquet", "--group", "port", "--out", tmp_path / "out").stdout
    assert len([line for line in text.splitlines() if line.startswith("udp_500")]) == 4
    assert "look closer: qbitel show" in text
    assert (tmp_path / "out" / "udp_5004" / "spec.json").is_file()


def test_random_bytes_give_no_fields(run: Run, tmp_path: Path) -> None:
    """Random messages end well: no structure is found, said so, and no boundary is invented."""
    import numpy as np

    rng = np.random.default_rng(1)
    path = tmp_path / "random.hex"
    path.write_text("".join(rng.bytes(int(n)).hex() + "\n" for n in rng.integers(20, 80, 200)))
    assert "no structure found" in run("discover", path, "--out", tmp_path / "out").stdout
    lines = [json.loads(line) for line in run("fields", tmp_path / "out", path).stdout.splitlines()]
    assert len(lines) == 200 and not any(line["boundaries"] for line in lines)


def test_several_protocols_have_to_be_named(plant: Path, run: Run, tmp_path: Path) -> None:
    """A folder without results, and a protocol that it lacks, are told with what to do."""
    assert "qbitel discover" in run("show", tmp_path, expect=3).stderr
    assert "it holds" in run("show", plant, "--protocol", "nothing", expect=5).stderr


def test_show_of_several_protocols_gives_each_a_row(example_captures: Path, run: Run, tmp_path: Path) -> None:
    """Without a name the protocols of the folder are listed; a message of one of several needs the name."""
    for capture in ("dns.pcap", "plant.pcapng"):
        run("discover", example_captures / capture, "--out", tmp_path, "--extend")
    listed = run("show", tmp_path).stdout
    assert "udp_53" in listed and "udp_20547" in listed and "--protocol" in listed
    assert "--protocol udp_20547" in run("show", tmp_path, "--msg", "0", expect=5).stderr
    shown = run("show", tmp_path, "--protocol", "udp_20547", "--msg", "0").stdout
    assert "2025-10-09 08:53:20 UTC" in shown  # what a number that is a time stands for


def test_doctor_says_what_is_installed(run: Run) -> None:
    """The base is complete here, and the JSON says so; what is looked at is what the package says that it needs."""
    told = json.loads(run("doctor", "--json").stdout)
    assert told["ok"] is True
    needed = {check["name"]: check["needed"] for check in told["checks"]}
    assert needed["numba"] and needed["ray"] is needed["sqlalchemy"] is needed["torch"] is False


def test_names_with_brackets_are_printed_as_they_are(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """The name of a file that looks like the markup of a terminal is printed, neither swallowed nor an error."""
    folder = tmp_path / "a["
    folder.mkdir()
    cut = folder / "b].pcap"
    cut.write_bytes((example_captures / "dns.pcap").read_bytes()[:-7])
    told = run("discover", cut, "--out", tmp_path / "[out]")
    assert f"warning: {cut}: " in told.stderr
    assert f"written: {tmp_path / '[out]'}" in told.stdout


@pytest.mark.parametrize("text", ["[]", "{", '[{"field": "t01.nothing", "op": "==", "value": 1}]'])
def test_rules_that_cannot_be_read_are_an_error_of_input(
    plant: Path, plant_file: Path, tmp_path: Path, run: Run, text: str
) -> None:
    """Malformed rules, rules of unknown fields, and a file without rules are named, and judge nothing."""
    rules = tmp_path / "rules.json"
    rules.write_text(text)
    told = run("validate", plant, plant_file, "--rules", rules, expect=3)
    assert len(told.stderr.splitlines()) == 1 and not told.stdout


def test_a_damaged_specification_is_an_error_of_input(plant: Path, tmp_path: Path, run: Run) -> None:
    """It is named in one line, and nothing is shown of it."""
    folder = tmp_path / "damaged"
    shutil.copytree(plant, folder)
    (spec,) = folder.glob("*/spec.json")
    spec.write_text(spec.read_text()[:200])
    told = run("show", folder, expect=3)
    assert "spec.json" in told.stderr and len(told.stderr.splitlines()) == 1
