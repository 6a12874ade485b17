"""The browser of the tests: the distribution's Chromium, driven through Playwright.

``python -m tools.chromium`` prints where it is; ``--install`` installs it where that is possible;
``--require`` fails when it is missing, so that a check on a server cannot quietly skip the browser tests.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "CLINIC_NET_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-dejavu-core")
"""Debian's names. The font has every Vietnamese letter; without one, text is drawn as boxes."""

SKIPPED = f"chromium: not found; the browser tests are skipped (set {VARIABLE}, or run as root on Debian)"


def find_chromium() -> Path | None:
    """Return the browser's program: the one ``CLINIC_NET_CHROMIUM`` names, else the machine's, else None."""
    if named := os.environ.get(VARIABLE):
        return Path(named) if os.access(named, os.X_OK) else None
    for name in NAMES:
        if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin"):
            return Path(found)
    return None


def install() -> bool:
    """Install Debian's Chromium and a font. Returns False where that cannot be done."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0 or os.environ.get(VARIABLE):
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for title, command in (
        ("reading the package lists", (apt, "-qq", "update")),
        ("installing Debian's package", (apt, "-qq", "install", "-y", "--no-install-recommends", *PACKAGES)),
    ):
        if not _told(title, command, environment):
            return False
    return find_chromium() is not None


def _told(title: str, command: tuple[str, ...], environment: dict[str, str]) -> bool:
    """Run a command that may take minutes; say every ten seconds that it is still at work."""
    started = time.monotonic()
    print(f"chromium: {title} …", flush=True)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        while True:
            try:
                output, _ = running.communicate(timeout=10)
                break
            except subprocess.TimeoutExpired:
                print(f"chromium: {title}: {time.monotonic() - started:.0f} s so far", flush=True)
    if running.returncode:
        print("\n".join(output.strip().splitlines()[-5:]), file=sys.stderr)
    print(f"chromium: {title}: {time.monotonic() - started:.1f} s", flush=True)
    return running.returncode == 0


def main() -> int:
    """Find, install or require. Returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--install", action="store_true", help="install it when it is missing and we may")
    arguments.add_argument("--require", action="store_true", help="fail when it is missing")
    chosen = arguments.parse_args()
    found = find_chromium()
    if found is None and chosen.install and install():
        found = find_chromium()
    if found is None:
        print(SKIPPED, file=sys.stderr)
        return 1 if chosen.require else 0
    if not chosen.install:
        print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
