"""What lies on the disk opens on this computer and on no other."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from station_agent import cli, keys, sealing
from station_agent.errors import KeyMissing, OtherComputer, SealBroken, StoreDamaged
from station_agent.sealing import MachineSealer
from station_agent.store import Database, cipher, converting, records, settings
from station_agent.store.database import FILE_NAME, read_only
from station_agent.store.records import Desk
from station_agent.store.schema import STEPS
from tests.station_agent.conftest import NOW

PERSON = {"resourceType": "Patient", "id": "p1", "name": [{"text": "Vàng Thị Mỷ"}]}


class PowerCut(BaseException):
    pass


def put(path: Path) -> None:
    database = Database(path, NOW)
    with database.transaction() as tx:
        Desk(tx, now=NOW, by="nurse:lan").put(PERSON)
    database.close()


def name_in(path: Path) -> str:
    database = Database(path, NOW)
    with database.transaction() as tx:
        found = records.read(tx, "Patient", "p1").resource["name"][0]["text"]
    database.close()
    return str(found)


def plain_store(path: Path) -> None:
    """A store as the release before encryption left it, its last work still in the write-ahead log."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    for statement in STEPS[0]:
        connection.execute(statement)
    connection.execute("pragma user_version = 1")
    connection.execute("insert into setting values ('db_epoch', 'e1')")
    connection.execute("insert into resource values ('Patient', 'p1', ?, null, 'local', 'p1', null, '')",
                       ('{"resourceType":"Patient","id":"p1","name":[{"text":"Vàng Thị Mỷ"}]}',))  # fmt: skip
    copies = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
    connection.close()  # checkpoints; the mains did not let it
    for end, content in copies.items():
        path.with_name(path.name + end).write_bytes(content)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Elsewhere":
    return Elsewhere(tmp_path, monkeypatch)


class Elsewhere:
    """Carries the disk to another computer."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._file, self._patch = folder / "machine-id", patch

    def __call__(self, identity: str = "0123456789abcdef0123456789abcdef\n") -> None:
        self._file.write_text(identity)
        self._patch.setattr(sealing, "MACHINE_IDS", (self._file,))


@given(
    secret=st.binary(max_size=200), purpose=st.text(max_size=20), identity=st.binary(min_size=1, max_size=40)
)
def test_a_seal_gives_back_what_it_was_given(secret: bytes, purpose: str, identity: bytes) -> None:
    sealer = MachineSealer(identity)
    sealed = sealer.seal(secret, purpose)
    assert MachineSealer(identity).unseal(sealed, purpose) == secret
    with pytest.raises(SealBroken):
        sealer.unseal(sealed, purpose + "!")
    with pytest.raises(OtherComputer):
        MachineSealer(identity + b"x").unseal(sealed, purpose)


@given(place=st.integers(min_value=0), member=st.sampled_from(["salt", "mark", "nonce", "text"]))
def test_a_damaged_seal_is_told_and_never_opens(place: int, member: str) -> None:
    sealer = MachineSealer(b"here")
    sealed = sealer.seal(b"the secret of this station", "store")
    text = sealed[member]
    at = place % len(text.rstrip("="))
    sealed[member] = text[:at] + ("B" if text[at] != "B" else "C") + text[at + 1 :]
    with contextlib.suppress(SealBroken, OtherComputer):
        assert sealer.unseal(sealed, "store") == b"the secret of this station", (
            "only unused bits of base64 changed"
        )


def test_nothing_of_a_patient_can_be_read_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    database = Database(path, NOW)
    with database.transaction() as tx:
        Desk(tx, now=NOW, by="nurse:lan").put(PERSON)
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert {file.name for file in files} >= {FILE_NAME, f"{FILE_NAME}-wal", cipher.KEY_FILE}
    for file in files:
        content = file.read_bytes()
        for word in ("Vàng", "Patient", "nurse:lan", "create table", "SQLite format 3"):
            assert word.encode() not in content, file.name
        assert file.stat().st_mode & 0o077 == 0 or file.name.endswith("-shm"), file.name
    database.close()


def test_the_store_opens_by_itself_on_its_computer_and_not_on_another(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    path = tmp_path / FILE_NAME
    put(path)
    assert name_in(path) == "Vàng Thị Mỷ"
    elsewhere()
    with pytest.raises(OtherComputer):
        Database(path, NOW)
    with pytest.raises(OtherComputer):
        read_only(path)


def test_a_cloned_disk_is_told_in_words_and_by_an_exit_code(
    data: Path, elsewhere: Elsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere()
    try:
        assert cli.main(["run", "--data", str(data)]) == cli.OTHER_COMPUTER
    finally:
        structlog.reset_defaults()
    assert "another computer" in capsys.readouterr().err
    assert cli.main(["status", "--data", str(data)]) == cli.OTHER_COMPUTER
    said = json.loads(capsys.readouterr().out)
    assert said["store"]["problem"] == "other-computer"
    assert said["store"]["sealed"] == "machine-id"
    with pytest.raises(OtherComputer):
        keys.load(data)


def test_a_computer_without_an_identity_works_and_says_that_nothing_is_bound(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    elsewhere("")
    path = tmp_path / FILE_NAME
    put(path)
    assert sealing.how(tmp_path / cipher.KEY_FILE) == "nothing"
    elsewhere("ffffffffffffffffffffffffffffffff")
    assert name_in(path) == "Vàng Thị Mỷ", "a system that was given an identity later still opens it"


def test_records_without_their_key_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    put(path)
    before = path.read_bytes()
    (tmp_path / cipher.KEY_FILE).unlink()
    with pytest.raises(KeyMissing):
        Database(path, NOW)
    assert path.read_bytes() == before
    assert not (tmp_path / cipher.KEY_FILE).exists()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    put(path)
    sealing.write(tmp_path / cipher.KEY_FILE, bytes(32), "store", sealing.this_computer())
    with pytest.raises(StoreDamaged):
        Database(path, NOW)


def test_a_device_key_of_an_earlier_release_is_sealed_when_it_is_read(data: Path) -> None:
    key = keys.load(data)
    (data / keys.FILE_NAME).unlink()
    (data / "device-key.pem").write_bytes(key.as_pem(private=True))
    assert keys.public_jwk(keys.load(data)) == keys.public_jwk(key)
    assert not (data / "device-key.pem").exists()
    assert b"PRIVATE KEY" not in (data / keys.FILE_NAME).read_bytes()
    assert keys.public_jwk(keys.load(data)) == keys.public_jwk(key)


def test_a_plain_store_of_an_earlier_release_is_encrypted_once(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    plain_store(path)
    assert name_in(path) == "Vàng Thị Mỷ"
    assert not cipher.is_plain(path)
    assert "Vàng".encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert {file.name for file in tmp_path.iterdir()} <= {
        FILE_NAME,
        f"{FILE_NAME}-wal",
        f"{FILE_NAME}-shm",
        cipher.KEY_FILE,
    }
    database = Database(path, NOW)
    with database.transaction() as tx:
        assert settings.get(tx, "db_epoch") == "e1", "the hub knows it by the same name"
    database.close()


@pytest.mark.parametrize("cut", range(12))
def test_the_mains_may_go_at_any_step_of_encrypting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    path = tmp_path / FILE_NAME
    plain_store(path)
    done = 0

    def step(*_: object, **__: object) -> None:
        nonlocal done
        if done == cut:
            raise PowerCut
        done += 1

    def cutting(owner: object, name: str, *, after: bool = False) -> None:
        work = getattr(owner, name)

        def cut_off(*given: object, **named: object) -> object:
            step()
            result = work(*given, **named)
            if after:
                step()
            return result

        monkeypatch.setattr(owner, name, cut_off)

    with monkeypatch.context():
        cutting(converting, "_export", after=True)
        cutting(sealing, "settle", after=True)
        cutting(Path, "replace", after=True)
        cutting(Path, "hardlink_to", after=True)
        cutting(sealing, "wipe")
        with contextlib.suppress(PowerCut):
            Database(path, NOW).close()
    monkeypatch.undo()
    assert name_in(path) == "Vàng Thị Mỷ"
    assert not cipher.is_plain(path)
    assert not [file for file in tmp_path.iterdir() if file.name.endswith((".plain", ".encrypting"))]
