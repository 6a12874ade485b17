"""Checkpoints as C2SP writes them: the published cosignature, and round trips of our own."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clinic_net.audit import notes
from clinic_net.audit.errors import NotACheckpoint, WitnessUnknown

NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
PUBLISHED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501 -- as published
"""The checkpoint of tlog-cosignature.md."""

HUB = notes.derived_signer("hub.test/audit", "s" * 48)
WITNESS = notes.Signer("dpo.example/w", notes.WITNESS, Ed25519PrivateKey.from_private_bytes(b"w" * 32))


def test_the_published_checkpoint_is_read() -> None:
    note = notes.read_note(PUBLISHED)
    assert (note.origin, note.size) == ("example.com/behind-the-sofa", 20852163)
    assert note.root.hex().startswith("0ac5186a91863e8e")
    (_, (name, identity, signature)) = note.signatures
    assert (name, identity.hex()) == ("witness.example.com/w1", "8d66cf3f")
    assert int.from_bytes(signature[:8], "big") == 1679315147


def test_a_checkpoint_is_verified_by_its_signers_and_by_nobody_else() -> None:
    text = notes.signed(notes.body_of(HUB.name, 7, b"r" * 32), HUB)
    note = notes.read_note(text)
    text += notes.cosignature(note.body, WITNESS, at=NOW)
    note = notes.read_note(text)

    assert notes.signature_of(note, HUB.verifier) is not None
    assert list(notes.cosigned_by(note, [WITNESS.verifier])) == [WITNESS.name]
    other = notes.derived_signer(HUB.name, "t" * 48)
    assert notes.signature_of(note, other.verifier) is None
    with pytest.raises(WitnessUnknown):
        notes.cosigned_by(note, [HUB.verifier])


@pytest.mark.parametrize("change", [("\n7\n", "\n8\n"), ("hub.test", "hub.fest")])
def test_another_body_has_no_valid_signature(change: tuple[str, str]) -> None:
    text = notes.signed(notes.body_of(HUB.name, 7, b"r" * 32), HUB)
    text += notes.cosignature(notes.read_note(text).body, WITNESS, at=NOW)
    forged = notes.read_note(text.replace(*change, 1))
    assert notes.signature_of(forged, HUB.verifier) is None
    assert notes.signature_of(forged, WITNESS.verifier) is None


@pytest.mark.parametrize("signer", [HUB, WITNESS], ids=["log", "witness"])
def test_a_verifier_key_is_read_back(signer: notes.Signer) -> None:
    assert notes.read_verifier(str(signer.verifier)) == signer.verifier


@pytest.mark.parametrize(
    "text",
    [
        "", "\n\n", "a\n1\n\n", "a\n-1\nAAAA\n\n", "a\n01\n" + "A" * 43 + "=\n\n— a AAAAAAAA\n",
        PUBLISHED.replace("CsUY", "Cs?Y"), PUBLISHED.replace("— witness", "- witness"), PUBLISHED[:-1],
        PUBLISHED + "x" * 20_000, PUBLISHED.replace("20852163", "²"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NotACheckpoint):
        notes.read_note(text)


@pytest.mark.parametrize("vkey", ["", "a+b", "a+00000000+AAAA", str(HUB.verifier).replace("hub", "pub")])
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NotACheckpoint):
        notes.read_verifier(vkey)
