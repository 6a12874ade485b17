"""The commands as an operator and a witness run them, against a hub that runs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from clinic_net import audit
from clinic_net.audit import notes, sealing
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.app.process import Process, environment, serving

NAME = "dpo.example/audit"


def command(settings: HubSettings, *words: str) -> tuple[int, dict[str, Any], str]:
    """Run ``clinic-net audit``; return exit code, facts and what it said on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "clinic_net.cli", "audit", *words],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A witness's key: the file, and the public half."""
    file = tmp_path_factory.mktemp("witness") / "key.pem"
    done = subprocess.run(
        [sys.executable, "-m", "clinic_net.cli", "audit", "witness-key", NAME, str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert file.stat().st_mode & 0o077 == 0
    return file, json.loads(done.stdout)["key"]


@pytest.fixture(scope="module")
def running(settings: HubSettings, key: tuple[Path, str]) -> Iterator[Process]:
    """A hub that knows the witness, without a worker: the tests seal by themselves."""
    os.environ["CLINIC_NET_AUDIT_WITNESSES"] = json.dumps([key[1]])
    try:
        with serving(settings, "--no-worker") as process:
            yield process
    finally:
        del os.environ["CLINIC_NET_AUDIT_WITNESSES"]


def published(process: Process) -> str:
    answer = httpx.get(f"{process.url}/audit/v1/checkpoint")
    assert answer.status_code == 200
    return answer.text


def hand_in(process: Process, note: bytes) -> httpx.Response:
    return httpx.post(f"{process.url}/audit/v1/checkpoint", content=note)


async def grow(hub: Hub, count: int = 5, *, later: timedelta = timedelta(0)) -> None:
    """Write events, seal them and sign a checkpoint."""
    async with hub.sessions() as session, session.begin():
        made = [audit.Event("user:1", "record.read", f"Patient/{n}") for n in range(count)]
        await audit.record_many(session, made, at=datetime.now(UTC))
    await sealing.tend(hub)
    async with hub.engine.begin() as connection:
        await sealing.checkpoint(connection, hub.settings, now=hub.now() + later)


def witness(process: Process, key: Path, hub_key: str, state: Path) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [
            sys.executable, "-m", "clinic_net.cli", "audit", "witness", process.url, "--name", NAME, "--key-file",
            str(key), "--hub-key", hub_key, "--state", str(state),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


async def test_a_witness_signs_what_continues_and_nothing_else(
    hub: Hub, running: Process, key: tuple[Path, str], tmp_path: Path
) -> None:
    await grow(hub, 300)
    code, facts, _ = command(hub.settings, "checkpoint", "--note", str(tmp_path / "note"))
    assert code == 0
    hub_key = facts["key"]
    state = tmp_path / "state"

    code, first, error = witness(running, key[0], hub_key, state)
    assert (code, first["size"]) == (0, 300), error
    shown = published(running)
    note = notes.read_note(shown)
    assert notes.signature_of(note, notes.read_verifier(hub_key)) is not None
    assert notes.cosigned_by(note, [notes.read_verifier(key[1])]).keys() == {NAME}
    assert state.read_text() == first["checkpoint"] == shown

    await grow(hub, 17, later=timedelta(minutes=2))
    code, second, error = witness(running, key[0], hub_key, state)
    assert (code, second["size"]) == (0, 317), error

    # The owner of the database writes the chain anew, with the hub's own key.
    with psycopg.connect(hub.settings.database.replace("+psycopg", "")) as owner:
        parts = owner.execute("select inhrelid::regclass::text from pg_inherits").fetchall()
        for (part,) in (*parts, ("audit_event",), ("audit_seal",)):
            if part.startswith(("audit_event", "audit_seal")) and "_pkey" not in part and "_idx" not in part:
                owner.execute(f"alter table {part} disable trigger user")
        owner.execute("update audit_event set actor = 'user:2' where subject = 'Patient/299'")
        for table in ("seal", "node", "progress", "checkpoint", "cosignature"):
            owner.execute(f"delete from audit_{table}")
    await grow(hub, 1, later=timedelta(minutes=4))
    assert command(hub.settings, "verify")[0] == 0
    code, _, error = witness(running, key[0], hub_key, state)
    assert (code, json.loads(error.splitlines()[-1])["error"]) == (1, "checkpoints-inconsistent")
    assert notes.read_note(state.read_text()).size == 317
    code, facts, _ = command(hub.settings, "verify", "--checkpoint", str(state))
    assert (code, facts["ok"], facts["problem"], facts["seq"]) == (1, False, "root-differs", 317)


async def test_verify_exits_with_one_and_names_the_event(hub: Hub, running: Process) -> None:
    await grow(hub, 3, later=timedelta(minutes=6))
    code, facts, _ = command(hub.settings, "verify", "--json")
    assert (code, facts["ok"], facts["problem"]) == (0, True, None)
    assert facts["verified"] == facts["size"]
    with psycopg.connect(hub.settings.database.replace("+psycopg", "")) as owner:
        row = owner.execute(
            "update audit_event set subject = 'Patient/x' where id = (select event from audit_seal where seq = 42)"
            " returning id"
        ).fetchone()
    assert row is not None
    code, facts, _ = command(hub.settings, "verify", "--json")
    assert (code, facts["problem"], facts["seq"], facts["event"]) == (1, "changed", 42, str(row[0]))
    day = datetime.now(UTC).date()
    code, facts, _ = command(hub.settings, "verify", "--to", str(day))
    assert (code, facts["verified"]) == (0, 0)


def test_a_checkpoint_of_another_key_is_no_checkpoint_of_this_trail(
    settings: HubSettings, tmp_path: Path
) -> None:
    other = notes.derived_signer("hub.test/audit", "x" * 48)
    file = tmp_path / "note"
    file.write_text(notes.signed(notes.body_of(other.name, 3, b"r" * 32), other))
    code, _, error = command(settings, "verify", "--checkpoint", str(file))
    assert (code, json.loads(error.splitlines()[-1])["error"]) == (1, "not-a-checkpoint")


@pytest.mark.parametrize(
    "given", ["", "x", "hub.test/audit\n1\n" + "A" * 43 + "=\n\n— x AAAAAAAA\n", "y" * 20_000]
)
def test_a_forged_cosignature_is_refused(running: Process, given: str) -> None:
    answer = hand_in(running, given.encode())
    assert (answer.status_code, answer.json()["code"]) == (422, "not-a-checkpoint")


async def test_a_stranger_s_cosignature_is_refused(hub: Hub, running: Process) -> None:
    await grow(hub, 2, later=timedelta(minutes=8))
    answer = hand_in(running, published(running).encode())
    assert (answer.status_code, answer.json()["code"]) == (422, "witness-unknown")


@pytest.mark.parametrize("sizes", ["2/1", "0/99999999", "-1/2"])
def test_a_proof_between_sizes_that_never_were_is_refused(running: Process, sizes: str) -> None:
    answer = httpx.get(f"{running.url}/audit/v1/proof/{sizes}")
    assert (answer.status_code, answer.json()["code"]) == (422, "checkpoints-inconsistent")
