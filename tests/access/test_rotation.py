"""The token key is changed while what the old one signed still counts; then it counts no more."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from clinic_net import cli
from clinic_net.access import service as access
from clinic_net.access.errors import InvalidToken
from clinic_net.access.http import issuer_of
from clinic_net.kernel.embedded.errors import DataFolderUnusable
from clinic_net.kernel.embedded.keys import FILE, EmbeddedKeys, retire, rotate
from clinic_net.kernel.hub import Hub
from tests.access.support import Device, app_of, browser, code_for, fill

NEW, OLD = SecretStr("n" * 48), SecretStr("t" * 48)


def _with(hub: Hub, *, before: SecretStr | None) -> Hub:
    return replace(
        hub, settings=hub.settings.model_copy(update={"token_key": NEW, "token_key_before": before})
    )


async def test_a_token_of_the_key_before_counts_until_it_is_retired(hub: Hub) -> None:
    await fill(hub)
    async with hub.sessions() as s, s.begin():
        client, secret = await access.add_client(s, "x", "system/*.rs", now=hub.now())
        await s.flush()
        old = await access.grant_to_client(
            s, client, secret, asked="", issuer=issuer_of(hub.settings), now=hub.now()
        )
    both, one = (issuer_of(_with(hub, before=before).settings) for before in (OLD, None))
    async with hub.sessions() as s, s.begin():
        assert await access.bearer(s, old.token, issuer=both, now=hub.now())
        with pytest.raises(InvalidToken):
            await access.bearer(s, old.token, issuer=one, now=hub.now())
        new = await access.grant_to_client(s, client, secret, asked="", issuer=both, now=hub.now())
        assert await access.bearer(s, new.token, issuer=one, now=hub.now()), "the new key signs"
    assert access.client_of_token(old.token, issuer=both, now=hub.now()) is not None
    with pytest.raises(InvalidToken):
        access.client_of_token(old.token, issuer=one, now=hub.now())


async def test_a_code_that_was_issued_before_still_enrols(hub: Hub) -> None:
    codes = [await code_for(hub, now=hub.now()) for _ in range(1)]
    for before, expected in ((None, 404), (OLD, 200)):
        async with browser(app_of(_with(hub, before=before), hub.now)) as web:  # type: ignore[arg-type]
            assert (await Device.fresh().enrol(web, codes[0])).status_code == expected


def run(*words: str) -> str:
    """Run a command in a process of its own: it opens the hub, whose logs outlive a test's standard output."""
    started = [sys.executable, "-c", "import sys; from clinic_net.cli import main; sys.exit(main())", *words]
    done = subprocess.run(started, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == cli.OK, done.stderr
    return done.stdout + done.stderr


def test_a_data_folder_s_keys_are_rotated_and_retired(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir()
    with pytest.raises(DataFolderUnusable):
        rotate(data)
    first = EmbeddedKeys.load(data)
    assert (first.token_key_before, first.identifier_key_before) == ("", "")
    assert cli.main(["keys", "rotate", "--data", str(data)]) == cli.OK
    second = EmbeddedKeys.load(data)
    assert (second.token_key_before, second.identifier_key_before) == (first.token_key, first.identifier_key)
    assert second.token_key not in ("", first.token_key)
    assert second.identifier_key not in ("", first.identifier_key)
    assert second.database_password == first.database_password
    with pytest.raises(DataFolderUnusable, match="retire"):
        rotate(data)
    said = run("keys", "retire", "--data", str(data)) + capsys.readouterr().out
    last = EmbeddedKeys.load(data)
    assert (last.token_key_before, last.identifier_key_before) == ("", "")
    assert not retire(data)
    assert (data / FILE).stat().st_mode & 0o777 == 0o600
    for secret in (first.token_key, second.token_key, first.identifier_key, second.identifier_key):
        assert secret not in said


def test_who_keeps_the_settings_is_given_a_key_for_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLINIC_NET_DATABASE", "postgresql+psycopg://elsewhere")
    assert cli.main(["keys", "rotate"]) == cli.OK
    told = json.loads(capsys.readouterr().out)
    assert [len(told[f"CLINIC_NET_{name}_KEY"]) >= 32 for name in ("TOKEN", "IDENTIFIER")] == [True, True]
