"""The search over a whole run finds what it looks for: a run of its own, with a word left where none belongs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import canary

ROOT = Path(__file__).parents[2]
LEAKS = {
    "a log": "import sys\ndef test_leak(): print('Kanariaitis', file=sys.stderr)",
    "escaped": "def test_leak(): print('L\\\\u00f2 Th\\\\u1ecb Th\\\\u1eed Nghi\\\\u1ec7m')",
    "a trace": "from tests import canary\ndef test_leak(): canary.leave('hub.log', 'x 011099887766 y')",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_run_that_left_a_word_fails_although_its_tests_passed(leak: str, tmp_path: Path) -> None:
    (tmp_path / "test_leak.py").write_text(LEAKS[leak])
    (tmp_path / "conftest.py").write_text("from tests.canary import *\n")
    environment = {name: value for name, value in os.environ.items() if name != canary.FOLDER}
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path),
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "1 passed" in done.stdout
    assert "a patient's words were left" in done.stdout
    assert done.returncode == 1


def test_a_run_that_left_none_passes() -> None:
    assert canary.found_in("Kanariaitis cấp tính") == ["Kanari"]
    assert canary.found_in("l\\u00f2 th\\u1ecb th\\u1eed nghi\\u1ec7m") == ["Lò Thị Thử Nghiệm"]
    assert canary.found_in("canaries, 0110998877660, 01109988776") == ["011099887766"]
