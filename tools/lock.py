"""``make lock``: resolve the dependencies into ``requirements/*.lock`` and ``package-lock.json``.

``bootstrap.lock`` is pip itself, ``dev.lock`` everything a developer or a check needs, ``hub.lock`` and
``station.lock`` what the two programs need in production, held to the versions that ``dev.lock`` tested.
The locks carry hashes and no addresses: the same file installs from any mirror.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
BIN = Path(sys.executable).parent

UV = "uv==0.13.9"
PIP = "pip==26.3"

_COMPILE = (
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-annotate",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--quiet",
)


def main() -> int:
    """Write the locks. Returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--upgrade", action="store_true", help="move every package to its newest version")
    upgrade = ("--upgrade",) if arguments.parse_args().upgrade else ()
    REQUIREMENTS.mkdir(exist_ok=True)
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", UV)
    _compile("bootstrap.lock", "-", stdin=PIP)
    _compile("dev.lock", "pyproject.toml", "--extra=dev", *upgrade)
    held = f"--constraint={REQUIREMENTS / 'dev.lock'}"
    _compile("hub.lock", "pyproject.toml", held)
    _compile("station.lock", "station_agent/pyproject.toml", held)
    _run(
        str(BIN / "npm"),
        "install",
        "--package-lock-only",
        "--omit-lockfile-registry-resolved",
        "--loglevel=error",
    )
    print("lock: written; run make setup")
    return 0


def _compile(name: str, source: str, *options: str, stdin: str = "") -> None:
    output = REQUIREMENTS / name
    _run(
        str(BIN / "uv"), "pip", "compile", *_COMPILE, *options, f"--output-file={output}", source, stdin=stdin
    )
    if address := re.search(r"^.*://.*$", output.read_text(), re.MULTILINE):
        raise SystemExit(f"lock: {name} names an address: {address.group()}")


def _run(*command: str, stdin: str = "") -> None:
    print("lock:", " ".join(Path(part).name for part in command[:4]), "…", flush=True)
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | _uv_from_pip() | {"PATH": path}
    # uv writes its progress to stdout when it compiles from standard input.
    subprocess.run(
        command, cwd=ROOT, env=environment, input=stdin, text=True, stdout=subprocess.DEVNULL, check=True
    )


def _uv_from_pip() -> dict[str, str]:
    """Return pip's configuration as uv's variables: uv reads neither pip's files nor its variables."""
    listed = subprocess.run(
        (sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    configured = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
    named = {
        "UV_DEFAULT_INDEX": "index-url",
        "UV_INDEX": "extra-index-url",
        "UV_INSECURE_HOST": "trusted-host",
        "SSL_CERT_FILE": "cert",
    }
    return {variable: configured[option] for variable, option in named.items() if option in configured}


if __name__ == "__main__":
    sys.exit(main())
