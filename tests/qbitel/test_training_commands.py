"""``qbitel train``, ``runs`` and ``models``, one after the other as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from qbitel.cli import cli
from qbitel.discovery.errors import QbitelError

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Run ``qbitel`` in this process, on a storage of its own."""
    storage = tmp_path_factory.mktemp("kept")

    def run(*arguments: str, expect: int = 0) -> Result:
        done = CliRunner().invoke(cli, [*arguments, "--storage", str(storage)], env={"COLUMNS": "200"})
        assert done.exit_code == expect, f"{done.output}\n{done.exception!r}"
        return done

    return run


@pytest.fixture(scope="module")
def plant_labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one protocol whose messages say where their fields begin."""
    folder = tmp_path_factory.mktemp("labelled") / "files"
    folder.mkdir()
    messages = [bytes([7, n % 3, 0, n]) + bytes([n * 37 % 251, n * 11 % 13]) for n in range(80)]
    table = {"payload": pa.array(messages, pa.binary()), "field_offsets": [[0, 1, 2, 4]] * len(messages)}
    pq.write_table(pa.table(table), folder / "plant.parquet")
    return folder


@pytest.fixture(scope="module")
def trained(command: Command) -> str:
    """Return the names of two runs that differ in their seed, joined by a space."""
    for name, seed in (("one", "1"), ("two", "2")):
        few = ("--examples", "8", "--epochs", "2", "--held-out", "3")
        command("train", "segmenter", "--run", name, "--seed", seed, *few)
    return "one two"


def test_runs_are_listed_and_shown(command: Command, trained: str) -> None:
    """Both runs are listed; one is shown with its settings, data, code, epochs and the place of its curve."""
    assert {record["id"] for record in json.loads(command("runs", "list", "--json").output)} == {"one", "two"}
    assert "2/2" in command("runs", "list").output
    shown = command("runs", "show", "one").output
    for part in ("examples 8", "sources", "machine", "curve.svg"):
        assert part in shown
    record = json.loads(command("runs", "show", "one", "--json").output)
    assert Path(shown.split("curve ")[1].strip()).is_file()
    assert record["status"] == "done"


def test_runs_are_compared(command: Command, trained: str) -> None:
    """The comparison names the seed that differs and gives each score's difference with its interval."""
    found = json.loads(command("runs", "compare", "one", "two", "--json").output)
    assert found["settings"] == {"seed": [1, 2]}
    assert {row["name"] for row in found["scores"]} >= {"loss"}
    assert "cpu seconds" in command("runs", "compare", "one", "two").output


def test_models_are_registered_with_lineage_and_aliased(command: Command, trained: str, tmp_path: Path) -> None:
    """A run becomes a version with its lineage; its weights come back by alias as they were registered."""
    assert "segmenter@1 (champion)" in command("models", "register", "one", "--alias", "champion").output
    command("models", "register", "two")
    command("models", "alias", "segmenter@2", "challenger")
    versions = {v["number"]: v for v in json.loads(command("models", "list", "--json").output)}
    assert [versions[n]["aliases"] for n in (1, 2)] == [["champion"], ["challenger"]]
    assert versions[1]["lineage"]["run"] == "one"
    assert len(versions[1]["lineage"]["data"]) == 64
    command("models", "get", "segmenter@challenger", "--out", str(tmp_path / "w"))
    assert sha256((tmp_path / "w").read_bytes()).hexdigest() == versions[2]["digest"]


@pytest.mark.parametrize(
    "arguments", [("train", "nothing"), ("runs", "show", "nobody"), ("models", "get", "segmenter@99", "--out", "x")]
)
def test_what_does_not_exist_is_told(command: Command, arguments: tuple[str, ...]) -> None:
    """An unknown network, run or version is an error of the engine with the code for it."""
    done = command(*arguments, expect=1)
    assert isinstance(done.exception, QbitelError)
    assert done.exception.code == "not-found"


def test_doctor_refuses_workers_that_would_wait_for_ever() -> None:
    """Two workers with their sources fit on Ray's four logical cores, three do not, and the reason is told."""
    pytest.importorskip("pydantic_settings")
    assert CliRunner().invoke(cli, ["doctor", "--workers", "2"]).exit_code == 0
    refused = CliRunner().invoke(cli, ["doctor", "--workers", "3", "--json"])
    assert refused.exit_code == 7
    (check,) = [check for check in json.loads(refused.output)["checks"] if check["name"] == "training"]
    assert "needs 4.5 logical cores, and this Ray has 4" in check["detail"]
    assert CliRunner().invoke(cli, ["doctor", "--workers", "2:1"]).exit_code == 2


def test_settings_out_of_range_are_wrong_usage(command: Command) -> None:
    """A setting that cannot work is refused before anything is trained."""
    assert "examples" in command("train", "segmenter", "--examples", "0", expect=2).output
    assert "epochs" in command("train", "segmenter", "--examples", "9", "--epochs", "9", expect=2).output


def test_sets_are_added_listed_and_forgotten(command: Command, plant_labelled: Path) -> None:
    """A folder of labelled messages becomes a version; forgetting its file leaves nothing; others are refused."""
    assert "plant@1: 1 files" in command("sets", "add", "plant", str(plant_labelled)).output
    (version,) = json.loads(command("sets", "list", "--json").output)
    assert list(version["files"]) == ["plant.parquet"]
    assert "nothing is left" in command("sets", "forget", "plant", "plant.parquet").output
    assert json.loads(command("sets", "list", "--json").output) == []
    done = command("sets", "add", "empty", str(plant_labelled.parent), expect=1)
    assert isinstance(done.exception, QbitelError)


def test_new_labels_lead_to_a_challenger(command: Command, plant_labelled: Path) -> None:
    """Labels are added, a run is trained on them, and its outcome is registered; without a set it is wrong usage."""
    few = ("--examples", "8", "--epochs", "1", "--held-out", "3", "--run", "again", "--afresh")
    given = ("--set", "fresh", "--labels", str(plant_labelled), *few, "--json", "--storage", str(plant_labelled.parent))
    done = CliRunner().invoke(cli, ["retrain", "segmenter", *given])
    made = json.loads(done.output)
    assert done.exit_code == 0
    assert made["champion"] is None
    assert made["challenger"]
    shown = CliRunner().invoke(cli, ["runs", "show", "again", "--json", "--storage", str(plant_labelled.parent)])
    assert json.loads(shown.output)["settings"]["labelled"] == "fresh@1"
    assert "--set" in command("retrain", "segmenter", "--labels", str(plant_labelled), expect=2).output
