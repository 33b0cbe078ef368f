"""Installs what the tests use from the distribution's packages where it may, and says loudly what is missing.

sshd (relay and device tests against OpenSSH), docker-compose (checks docker-compose.yml), Chromium with a font that has
emoji (the workspace page in a browser), a JDK and Maven (the real Keycloak). In CI a missing Java is an error: the
tests would not have met the real Keycloak.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

WANTED = {
    "sshd": ("openssh-server",),
    "docker-compose": ("docker-compose",),
    "chromium": ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"),
}


def present(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


def main() -> int:
    missing = {p: packages for p, packages in WANTED.items() if not present(p)}
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], env=environment, check=False, timeout=300, **quiet)
        for packages in missing.values():
            subprocess.run(
                ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
                env=environment,
                check=False,
                timeout=600,
                **quiet,
            )
    for program, packages in missing.items():
        if not present(program):
            print(f"!!! {program} is not here (package {packages[0]}): tests that need it are skipped", flush=True)
    if not (present("java") and present("mvn")):
        print("!!! Java or Maven is not here: nothing will be tested against the real Keycloak", flush=True)
        if os.environ.get("CI"):
            print("!!! in CI that is an error", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
