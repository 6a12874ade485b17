"""Enrolment: a code makes this computer the station's."""

import io
import json
import stat
from pathlib import Path

import httpx
import pytest

from station_agent import cli, keys
from station_agent.agent import Agent, Options
from station_agent.condition import status
from station_agent.enrolment import enrol
from station_agent.errors import AlreadyRunning, EnrolmentRefused, HubUnreachable, NotEnrolled
from tests.station_agent.conftest import NOW
from tests.station_agent.scripted_hub import ADDRESS, STATION, ScriptedHub


def test_the_key_stays_here_and_only_its_owner_can_read_it(data: Path) -> None:
    key = data / keys.FILE_NAME
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in key.read_bytes(), "sealed to this computer"
    assert keys.load(data).is_private
    assert stat.S_IMODE((data / "station.sqlite3").stat().st_mode) == 0o600


def test_an_unknown_code_is_refused_with_the_hubs_reason_and_leaves_no_key(
    tmp_path: Path, enrolling: httpx.BaseTransport
) -> None:
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(tmp_path, hub=ADDRESS, code="WRONGCODE1", now=NOW, transport=enrolling)
    assert refused.value.code == "enrolment-code-unknown"
    assert "does not exist" in refused.value.message
    assert not list(tmp_path.glob("device-key*"))


def test_a_refused_second_enrolment_keeps_the_first(data: Path, enrolling: httpx.BaseTransport) -> None:
    before = (data / keys.FILE_NAME).read_bytes()
    with pytest.raises(EnrolmentRefused):
        enrol(data, hub=ADDRESS, code="7K3M9QXWZ2", now=NOW, transport=enrolling)
    assert (data / keys.FILE_NAME).read_bytes() == before
    assert status(data)["station"] == STATION


@pytest.mark.parametrize("code", ["", "short", "x" * 41])
def test_a_code_that_cannot_be_one_is_refused_here(tmp_path: Path, code: str) -> None:
    with pytest.raises(EnrolmentRefused, match="8 to 40"):
        enrol(tmp_path, hub=ADDRESS, code=code, now=NOW)


def test_an_address_that_is_no_hub_is_said_so(tmp_path: Path) -> None:
    portal = httpx.MockTransport(
        lambda _: httpx.Response(200, text="<html>Log in to the wireless network</html>")
    )
    with pytest.raises(EnrolmentRefused) as refused:
        enrol(tmp_path, hub=ADDRESS, code="7K3M9QXWZ2", now=NOW, transport=portal)
    assert refused.value.code == "not-a-hub"
    with pytest.raises(EnrolmentRefused, match="http"):
        enrol(tmp_path, hub="hub.test", code="7K3M9QXWZ2", now=NOW, transport=portal)


def test_no_answer_is_no_refusal(tmp_path: Path) -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(HubUnreachable):
        enrol(tmp_path, hub=ADDRESS, code="7K3M9QXWZ2", now=NOW, transport=httpx.MockTransport(silent))


def test_a_refusal_prints_words_and_code_and_sets_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["enrol", "--hub", "nonsense", "--code", "7K3M9QXWZ2", "--data", str(tmp_path)]
    assert cli.main(arguments) == cli.REFUSED
    assert "[hub-address]" in capsys.readouterr().err
    assert cli.main(["status", "--data", str(tmp_path / "empty")]) == cli.NOT_ENROLLED


def test_status_is_for_a_technician_and_names_nobody(data: Path) -> None:
    out = io.StringIO()
    said = status(data)
    json.dump(said, out)
    assert said["station"] == STATION
    assert said["link"] == "stopped"
    assert said["waiting"] == {"0": 0, "1": 0, "2": 0, "3": 0}
    assert said["db_epoch"]
    assert said["refused"] == []
    assert said["last_contact"] is None


def test_two_agents_never_number_operations_in_one_database(agent: Agent, data: Path) -> None:
    with pytest.raises(AlreadyRunning):
        Agent(Options(data))
    assert status(data)["link"] != "stopped"


def test_a_station_that_was_not_enrolled_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled):
        Agent(Options(tmp_path / "nothing"))
    with pytest.raises(NotEnrolled):
        Agent(Options(tmp_path))


def test_the_public_key_is_all_that_leaves(data: Path, hub: ScriptedHub) -> None:
    assert hub.key is not None
    assert not hub.key.is_private
