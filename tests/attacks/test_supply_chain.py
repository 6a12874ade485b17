"""What the programs are made of is pinned, listed and looked up; no secret lies in the tree."""

import json
import math
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tools import supply_chain
from tools.supply_chain import FINDINGS, NOT_CHECKED, PASSED, bill_of_materials, pins, verdict

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_dependency_is_one_version_with_its_hash_and_from_the_index_only(lock: Path) -> None:
    """Attack 72: a look-alike, another index, an unsigned or changed wheel does not install."""
    text = lock.read_text()
    blocks = [block for block in re.split(r"\n(?=\S)", text) if block and not block.startswith("#")]
    assert blocks
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._\-]+==\S+ (?:; [^\n]+ )?\\\n", block), block[:80]
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|://|@ ", text)


def test_the_set_up_installs_by_hash() -> None:
    """Attack 72: what the lock does not know is not installed."""
    assert "--require-hashes" in (ROOT / "tools" / "setup.py").read_text()
    assert "--require-hashes" in (ROOT / "docker" / "hub.Dockerfile").read_text()
    assert "--require-hashes" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", supply_chain.LOCKS)
def test_the_bill_of_materials_names_every_pinned_version(name: str, tmp_path: Path) -> None:
    lock, to = ROOT / supply_chain.LOCKS[name], tmp_path / "sbom.json"
    assert bill_of_materials(lock, to) == len(pins(lock))
    made = json.loads(to.read_text())
    assert made["bomFormat"] == "CycloneDX"
    assert {f"{each['name']}=={each['version']}" for each in made["components"]} == set(pins(lock))
    again = tmp_path / "again.json"
    bill_of_materials(lock, again)
    assert again.read_bytes() == to.read_bytes()


VULNERABLE = {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
SOUND = {"name": "y", "version": "1", "vulns": []}
SKIPPED = {"name": "z", "skip_reason": "not found"}


def test_a_finding_fails_and_a_check_that_was_not_made_does_not_look_like_one_that_passed() -> None:
    assert verdict([SOUND, VULNERABLE, SKIPPED], 3) == (FINDINGS, ["x 1: PYSEC-1, mended in 2"])
    for answers in ([], [SKIPPED, SKIPPED]):
        status, lines = verdict(answers, 2)
        assert status == PASSED
        assert NOT_CHECKED in lines[0]
    status, lines = verdict([SOUND, SKIPPED], 2)
    assert (status, NOT_CHECKED in lines[1]) == (PASSED, True)
    assert verdict([SOUND], 1) == (PASSED, ["none of 1 versions is known to be vulnerable"])


PATTERNS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*\n[A-Za-z0-9+/]"),
    "cloud key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "forge token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|glpat-[A-Za-z0-9_\-]{20})\b"),
    "chat token": re.compile(r"\bxox[abprs]-[A-Za-z0-9\-]{10,}"),
    "signed token": re.compile(r"\beyJ[A-Za-z0-9_\-]{16,}\.eyJ[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{32,}"),
}
ASSIGNED = re.compile(
    r"(?i)(?:secret|passw(?:or)?d|token|api_?key|private_?key)\w*[\"']?\s*[:=]\s*[\"']([A-Za-z0-9+/=_\-]{20,})[\"']"
)
RANDOM_FROM = 3.9
"""Bits a character: words and repeated letters stay below, random base64 of 24 characters is above."""


def entropy(text: str) -> float:
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def secrets_in(text: str) -> list[str]:
    found = [name for name, pattern in PATTERNS.items() if pattern.search(text)]
    return found + ["assigned secret" for value in ASSIGNED.findall(text) if entropy(value) > RANDOM_FROM]


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=False
    ).stdout.decode()
    return [
        ROOT / name
        for name in listed.split("\0")
        if name and Path(name).suffix not in (".png", ".lock", ".svg")
    ]


def test_no_secret_lies_in_the_tree() -> None:
    """Attack 72: keys, tokens and passwords are never committed."""
    files = [path for path in _tracked() if path.is_file() and path != Path(__file__)]
    assert len(files) > 300
    held = {str(path.relative_to(ROOT)): secrets_in(path.read_text("utf-8", "replace")) for path in files}
    found = {name: names for name, names in held.items() if names}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE " + "KEY-----\nMIGHAgEA",
        "AKIA" + "Q3EGRIZ7NYWTLM4P",
        "ghp_" + "a1B2" * 9,
        "eyJhbGciOiJFUzI1NiJ9AAA.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl",
        'client_secret = "pV9xQ2rT7mZkL4sWb8NcYd3FgHj"',
    ],
)
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert secrets_in(text) != []
