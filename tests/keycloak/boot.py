"""Fetch, build and boot a real Keycloak for the tests. Blocking; needs a JDK 17 or newer and `mvn`.

What costs time is kept in a cache folder (`CDM_KEYCLOAK_CACHE`, else `.cache/keycloak` in the project): the dist zip,
the built server, a class archive (Java 19 and newer), and a database with the realm already imported. From nothing
about a minute, later 4-5 s a boot, with a pristine database each time (measured on Keycloak 26.7.3).
Settings here are `CDM_*`: Keycloak reads every `KC_*` variable as its own configuration.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.wire import free_port

VERSION = "26.7.3"
REALM = "cdm"
ADMIN_USER, ADMIN_PASSWORD = "admin", "tests-only-admin"
PROJECT = Path(__file__).resolve().parents[2]
REALM_FILE = PROJECT / "sandbox" / "keycloak" / "realm-cdm.json"

_BUILD = (
    "--db=dev-file",
    "--features-disabled=admin,account,ciba,docker,kerberos,instagram-broker,twitter-broker,identity-brokering-api,"
    "web-authn,passkeys,passkeys-conditional-ui-authenticator,oid4vc-vci,opentelemetry,workflows,recovery-codes,"
    "user-event-metrics,client-auth-abca",
)
_JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dfile.encoding=UTF-8",
)
_OPEN = (
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)


class CannotBoot(Exception):
    """No Keycloak here, and why."""


@dataclass(frozen=True, slots=True)
class Java:
    home: Path
    version: int

    @property
    def binary(self) -> Path:
        return self.home / "bin" / "java"

    @property
    def archives_classes(self) -> bool:
        """Java 19 and newer can write a class archive at exit; it halves the boot."""
        return self.version >= 19


def find_java() -> Java:
    """`CDM_KEYCLOAK_JAVA_HOME` if set, else the newest of `JAVA_HOME`, the `java` on the path and its neighbours."""
    chosen = os.environ.get("CDM_KEYCLOAK_JAVA_HOME")
    homes = [Path(chosen)] if chosen else [Path(home) for home in (os.environ.get("JAVA_HOME"),) if home]
    on_path = shutil.which("java")
    if on_path and not chosen:
        home = Path(on_path).resolve().parents[1]
        homes += [home, *(p for p in home.parent.iterdir() if (p / "bin" / "java").exists())]
    found = [Java(home.resolve(), version) for home in homes if (version := _java_version(home)) >= 17]
    if not found:
        raise CannotBoot("no Java 17 or newer (set JAVA_HOME, or install a JDK)")
    return max(found, key=lambda java: java.version)


def _java_version(home: Path) -> int:
    with contextlib.suppress(OSError):
        told = re.search(r'JAVA_VERSION="(\d+)', (home / "release").read_text())
        if told and (home / "bin" / "java").exists():
            return int(told[1])
    return 0


def cache_folder() -> Path:
    folder = Path(os.environ.get("CDM_KEYCLOAK_CACHE") or PROJECT / ".cache" / "keycloak").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True, slots=True)
class Installation:
    """A built server, and the database its instances start from."""

    java: Java
    server: Path
    template: Path

    @property
    def class_archive(self) -> Path:
        return self.server.with_suffix(".jsa")


def install() -> Installation:
    """Everything that can be kept between boots; at once where the cache has it. Raises CannotBoot."""
    java = find_java()
    cache = cache_folder()
    key = _digest(VERSION, *_BUILD, str(java.home), str(java.version))
    done = Installation(
        java=java,
        server=cache / f"server-{key}",
        template=cache / f"db-{_digest(key, REALM_FILE.read_text(), ADMIN_USER, ADMIN_PASSWORD)}",
    )
    with _locked(cache / ".lock"):
        if not (done.server / ".built").exists():
            _build(done, _fetch(cache))
        if not done.template.exists():
            _make_template(done, cache)
    return done


def _fetch(cache: Path) -> Path:
    archive = cache / f"keycloak-quarkus-dist-{VERSION}.zip"
    if archive.exists():
        return archive
    mvn = shutil.which("mvn")
    if mvn is None:
        raise CannotBoot("no mvn on the path to fetch the Keycloak distribution with")
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    command = [mvn, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={cache}"]
    _run(command, f"mvn could not fetch {artifact}", env=dict(os.environ))
    return archive


def _build(wanted: Installation, archive: Path) -> None:
    shutil.rmtree(wanted.server, ignore_errors=True)
    unpacked = wanted.server.with_suffix(".tmp")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unpacked)
    except zipfile.BadZipFile as broken:
        archive.unlink()
        raise CannotBoot(f"the fetched {archive.name} is not whole; it was deleted, try again") from broken
    (unpacked / f"keycloak-{VERSION}").rename(wanted.server)
    unpacked.rmdir()
    env = _environment(wanted.java) | {"JAVA_OPTS": " ".join(_JVM)}
    _run(["bash", str(wanted.server / "bin" / "kc.sh"), "build", *_BUILD], "kc.sh build failed", env=env)
    (wanted.server / ".built").touch()


def _make_template(wanted: Installation, cache: Path) -> None:
    """First boot: import the realm, stop cleanly, keep the database (and the classes it loaded)."""
    home = cache / f"first-{os.getpid()}"
    shutil.rmtree(home, ignore_errors=True)
    lay_out(wanted, home, from_template=False)
    extra: tuple[str, ...] = ()
    archive = wanted.class_archive
    if wanted.java.archives_classes and not archive.exists():
        extra = (f"-XX:ArchiveClassesAtExit={archive}.tmp",)
    port = free_port()
    process = launch(wanted, home, port, extra)
    try:
        wait_ready(process, port, home, within_s=240)
    finally:
        process.terminate()
        process.wait()
    partial = Path(f"{archive}.tmp")
    if partial.exists():
        partial.rename(archive)
    (home / "data" / "h2").rename(wanted.template)
    shutil.rmtree(home)


def lay_out(installed: Installation, home: Path, *, from_template: bool = True) -> None:
    """An instance's own folder: links to the built server, its own copy of the database."""
    (home / "data" / "import").mkdir(parents=True)
    for part in ("bin", "conf", "lib", "providers", "themes"):
        (home / part).symlink_to(installed.server / part)
    if from_template:
        shutil.copytree(installed.template, home / "data" / "h2")
    else:
        shutil.copy(REALM_FILE, home / "data" / "import")


def launch(
    installed: Installation, home: Path, port: int, extra: tuple[str, ...] | None = None
) -> subprocess.Popen[bytes]:
    """Start the server on 127.0.0.1:`port`; its log goes to `home/keycloak.log`.

    `--cache=local` must be said at start: said at build it is not kept, and JGroups listens on every interface.
    """
    if extra is None:
        kept = installed.class_archive.exists()
        extra = (f"-XX:SharedArchiveFile={installed.class_archive}", "-Xshare:auto", "-Xlog:cds=off") if kept else ()
    command = [
        *(str(installed.java.binary), *_JVM, *extra, *_OPEN),
        *(f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}"),
        *("-cp", str(installed.server / "lib" / "quarkus-run.jar")),
        *("io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--cache=local"),
        *("--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}", "--hostname-strict=false"),
        "--import-realm",
    ]
    with (home / "keycloak.log").open("ab") as log:
        return subprocess.Popen(
            command, env=_environment(installed.java), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def wait_ready(process: subprocess.Popen[bytes], port: int, home: Path, *, within_s: float) -> None:
    """Return when the realm answers; raise CannotBoot with the end of the log when the server ends or is late."""
    deadline = time.monotonic() + within_s
    url = f"http://127.0.0.1:{port}/realms/{REALM}/.well-known/openid-configuration"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), direct.open(url, timeout=2):
            return
        time.sleep(0.05)
    tail = (home / "keycloak.log").read_text(errors="replace")[-2000:]
    raise CannotBoot(f"Keycloak did not become ready; its log ends:\n{tail}")


def _environment(java: Java) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KC_", "CDM_", "JAVA_"))}
    return kept | {
        "JAVA_HOME": str(java.home),
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN_USER,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
    }


def _run(command: list[str], failed: str, *, env: dict[str, str]) -> None:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired as late:
        raise CannotBoot(f"{failed}: not done after 600 s") from late
    if done.returncode:
        raise CannotBoot(f"{failed}:\n{(done.stdout + done.stderr)[-2000:]}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder at a time, across processes."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]
