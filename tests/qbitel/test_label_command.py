"""``qbitel label``, as an analyst runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def structure(folder: Path) -> str:
    """The id of the specification that a folder's index names."""
    (entry,) = json.loads((folder / "index.json").read_text())["protocols"]
    return str(entry["id"])


def test_a_label_holds_is_kept_and_can_be_taken_back(run: Run, plant_file: Path, tmp_path: Path) -> None:
    """The name and the boundaries of one message show in the others, in the folder, and in a training set."""
    folder, storage = tmp_path / "found", tmp_path / "storage"
    run("discover", plant_file, "--out", folder)
    before = structure(folder)
    kinds = [json.loads(line)["type"] for line in run("fields", folder, plant_file).stdout.splitlines()]
    row = kinds.index(kinds[0], 1)
    said = ("--row", "0", "--type", "first", "--boundaries", "1,3,5")
    told = run("label", folder, plant_file, *said, "--set", "mine", "--storage", storage)
    assert "+ first" in told.stdout and "mine@1: 1 files" in told.stdout
    after = [json.loads(line) for line in run("fields", folder, plant_file).stdout.splitlines()]
    assert after[row]["type"] == "first" and after[row]["boundaries"][:3] == [1, 3, 5]
    kept = pq.read_table(next((storage / "sets" / "objects").iterdir())).to_pylist()
    assert [(line["msg_type"], line["field_offsets"]) for line in kept] == [("first", [1, 3, 5])]
    run("discover", plant_file, "--out", folder)  # what was said of the folder's messages holds in a new discovery
    assert "first" in run("show", folder).stdout
    run("label", folder, plant_file, "--row", "0", "--forget")
    assert structure(folder) == before


@pytest.mark.parametrize("kind", ["set", "stream"])
def test_a_label_holds_in_what_is_read_of_a_folder_of_captures_and_of_a_stream(
    run: Run, plant_file: Path, tmp_path: Path, kind: str
) -> None:
    """However the messages come, what was said of the result folder names their types."""
    folder, state = tmp_path / "found", tmp_path / "state"
    source: tuple[str | Path, ...] = (tmp_path / "captures",)
    if kind == "set":
        (tmp_path / "captures").mkdir()
        shutil.copy(plant_file, tmp_path / "captures")
    else:
        source = ("--stream", "plant", "--state", state)
        run("ingest", plant_file, *source, "--shards", "1")
    run("discover", *source, "--out", folder)
    run("label", folder, plant_file, "--row", "0", "--type", "first")
    run("discover", *source, "--out", folder)
    assert "first" in run("show", folder).stdout


def test_what_cannot_be_said_is_refused_and_changes_nothing(run: Run, plant_file: Path, tmp_path: Path) -> None:
    """A row that is not there, boundaries outside the message, nothing to say, nothing to take back: one line each."""
    folder = tmp_path / "found"
    run("discover", plant_file, "--out", folder)
    before = structure(folder)
    assert "no row 300" in run("label", folder, plant_file, "--row", "300", "--type", "a", expect=5).stderr
    outside = run("label", folder, plant_file, "--row", "0", "--boundaries", "4000", expect=3)
    assert "boundaries rise, from 1 to" in outside.stderr and len(outside.stderr.splitlines()) == 1
    run("label", folder, plant_file, "--row", "0", "--type", "no name", expect=3)
    run("label", folder, plant_file, "--row", "0", "--boundaries", "a", expect=2)
    run("label", folder, plant_file, "--row", "0", expect=2)
    run("label", folder, plant_file, "--row", "0", "--type", "a", "--forget", expect=2)
    run("label", folder, plant_file, "--row", "0", "--forget", expect=5)
    assert structure(folder) == before
