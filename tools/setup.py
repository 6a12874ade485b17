"""``make setup``: make the working tree ready to run.

Runs before anything is installed, so it uses the standard library only. Each step is keyed by a hash of
what it depends on; a step whose key is written in ``.venv/setup.json`` is not repeated. A second call
that runs at the same time waits for the first.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / "setup.json"
NODE_MODULES = ROOT / "node_modules"
VENDOR = ROOT / "clinic_net" / "protocol" / "browser" / "vendor"

VENDORED = {"htmx.min.js": "htmx.org/dist/htmx.min.js"}
"""File that the pages load → where it lies below ``node_modules``."""


class SetupError(Exception):
    """Something the person at the keyboard can repair; the message says how."""


@dataclass(frozen=True)
class Step:
    """One part of the set-up: skipped when ``key`` is unchanged and every one of ``makes`` exists."""

    name: str
    title: str
    key: str
    makes: tuple[Path, ...]
    do: Callable[[], None]


def main() -> int:
    """Run what is not yet done. Returns the exit status."""
    try:
        with _alone():
            made_anything = _make_venv()
            for step in _steps():
                made_anything |= _run(step)
    except SetupError as problem:
        print(f"setup: {problem}", file=sys.stderr)
        return 1
    if made_anything:
        print("setup: ready")
    return 0


def _steps() -> tuple[Step, ...]:
    requirements = (ROOT / "requirements" / "bootstrap.lock", ROOT / "requirements" / "dev.lock")
    catalogues = sorted(
        path for name in ("clinic_net", "station_agent") for path in (ROOT / name).rglob("*.po")
    )
    return (
        Step(
            "packages",
            "Python packages from requirements/dev.lock",
            _hash(*requirements, VENV / "pyvenv.cfg"),
            (BIN / "ruff",),
            lambda: _install(*requirements),
        ),
        Step(
            "project",
            "clinic_net and station_agent, editable",
            _hash(ROOT / "pyproject.toml", ROOT / "hatch_build.py"),
            (BIN / "clinic-net", BIN / "station-agent"),
            lambda: _pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)),
        ),
        Step(
            "browser",
            "browser libraries from package-lock.json",
            _hash(ROOT / "package.json", ROOT / "package-lock.json", Path(__file__)),
            (*(VENDOR / name for name in VENDORED), NODE_MODULES / ".bin" / "tsc"),
            _browser_libraries,
        ),
        Step(
            "translations",
            "translations",
            _hash(*catalogues),
            tuple(path.with_suffix(".mo") for path in catalogues),
            lambda: _call(str(BIN / "python"), "-m", "tools.translations"),
        ),
    )


def _make_venv() -> bool:
    """Make ``.venv``, or make it again when it cannot run here: Python gone, or the tree was moved."""
    key = f"{ROOT} {sys.version_info.major}.{sys.version_info.minor}"
    python = BIN / "python"
    if python.exists() and (not STAMPS.exists() or _stamps().get("venv") == key):
        # An environment without stamps was made by hand: the steps below complete it.
        if not STAMPS.exists():
            _stamp("venv", key)
        return False
    with _told("virtual environment .venv"):
        try:
            venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(VENV)
        except (subprocess.CalledProcessError, OSError) as problem:
            raise SetupError(
                f"python3 could not make a virtual environment ({type(problem).__name__}: {problem}). "
                "On Debian and Ubuntu: apt-get install python3-venv"
            ) from problem
        _stamp("venv", key)
    return True


def _run(step: Step) -> bool:
    if _stamps().get(step.name) == step.key and all(path.exists() for path in step.makes):
        return False
    with _told(step.title):
        step.do()
    missing = [path.relative_to(ROOT) for path in step.makes if not path.exists()]
    if missing:
        raise SetupError(f"{step.title}: done, but {missing[0]} is not there")
    _stamp(step.name, step.key)
    return True


def _install(bootstrap: Path, dev: Path) -> None:
    """Install what the locks name and nothing else. pip, because it is what a machine has configured."""
    _pip("install", "--require-hashes", "--requirement", str(bootstrap))
    _pip("install", "--require-hashes", "--no-compile", "--requirement", str(dev))


def _pip(*arguments: str) -> None:
    _call(
        str(BIN / "python"), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", *arguments
    )


def _browser_libraries() -> None:
    """Install from the lock with the environment's own npm; no Node is expected on the machine."""
    _call(str(BIN / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir(parents=True)
    for name, source in VENDORED.items():
        shutil.copyfile(NODE_MODULES / source, VENDOR / name)


def _call(*command: str) -> None:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment.pop("PYTHONHOME", None)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.strip().splitlines()[-30:])
        raise SetupError(f"{' '.join(command[:4])} … failed with status {done.returncode}:\n{end}")


def _hash(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.exists() else b""
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _stamps() -> dict[str, str]:
    try:
        return dict(json.loads(STAMPS.read_text()))
    except (OSError, ValueError):
        return {}


def _stamp(name: str, key: str) -> None:
    STAMPS.write_text(json.dumps(_stamps() | {name: key}, indent=1))


@contextmanager
def _told(title: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"setup: {title} …", flush=True)
    yield
    print(f"setup: {title}: {time.monotonic() - started:.1f} s", flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    with (ROOT / ".setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: waiting for another set-up of this tree …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
