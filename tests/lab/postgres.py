"""A PostgreSQL of its own: a cluster in a temporary folder, on a Unix socket, that can be killed and started again."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from lab.certificates import Pair
from lab.errors import LabError

VERSIONS = Path("/usr/lib/postgresql")
START_SECONDS = 30.0
_USER = "postgres"


def programs() -> Path:
    """Return the folder of the newest installed PostgreSQL's programs; raises LabError."""
    found = sorted(VERSIONS.glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise LabError(f"no PostgreSQL in {VERSIONS}: install Debian's package postgresql")
    return found[-1]


class Cluster:
    """One postmaster; it refuses to be root's, so root gives it to the user that the package made."""

    def __init__(self, folder: Path, *options: str, network: int | None = None) -> None:
        self.folder, self._options, self._network = folder, options, network
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._run(
            "initdb", "-D", str(folder / "data"), "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
        )

    @property
    def pid(self) -> int:
        """The postmaster."""
        assert self._process
        return self._process.pid

    def url(self, database: str = _USER) -> str:
        """Return what a client connects with."""
        return f"postgresql://{_USER}@/{database}?host={quote(str(self.folder), safe='')}"

    def start(self) -> None:
        """Start it and wait until it answers; raises LabError."""
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                # After a kill -9 its children need a moment to go, and until then the data are taken.
                self._process = self._popen()
            if time.monotonic() > end:
                raise LabError(f"PostgreSQL does not start:\n{self._log().read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT fast, SIGQUIT at once without a checkpoint, SIGKILL without anything (PostgreSQL manual 19.5)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def create(self, database: str) -> str:
        """Make an empty database and return its URL."""
        self._run("createdb", "-h", str(self.folder), "-U", _USER, database)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Delete a database, whoever is connected to it."""
        self._run("dropdb", "--force", "-h", str(self.folder), "-U", _USER, database)

    def query(self, text: str, database: str = _USER) -> str:
        """Run a statement as the superuser; raises LabError."""
        return self._run("psql", "-h", str(self.folder), "-U", _USER, "-qAtc", text, database).strip()

    def serve_tls(self, pair: Pair, user: str, password: str) -> None:
        """Let a new user, with a database of its name, in over TLS with its password, and nobody else over the network."""
        for name, content in (("server.crt", pair.chain), ("server.key", pair.key)):
            path = self.folder / "data" / name
            path.write_bytes(content)
            path.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(path, _USER)
        (self.folder / "data/pg_hba.conf").write_text(f"local all all trust\nhostssl {user} {user} all scram-sha-256\n")
        self.query("ALTER SYSTEM SET ssl = on")
        self.query(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        self.create(user)
        self.query(f"ALTER DATABASE {user} OWNER TO {user}")
        self.query("SELECT pg_reload_conf()")

    def _popen(self) -> subprocess.Popen[bytes]:
        argv = ["postgres", "-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        for option in self._options:
            argv += ["-c", option]
        there = ["nsenter", "--target", str(self._network), "--net", "--"] if self._network is not None else []
        with self._log().open("ab") as log:
            return subprocess.Popen(
                [*there, *self._argv(*argv)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/"
            )

    def _answers(self) -> bool:
        ready = [str(programs() / "pg_isready"), "-q", "-h", str(self.folder)]
        running = self._process is not None and self._process.poll() is None
        return running and subprocess.run(ready, check=False, cwd="/").returncode == 0

    def _run(self, *argv: str) -> str:
        done = subprocess.run(self._argv(*argv), capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise LabError(f"{argv[0]}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def _argv(self, program: str, *arguments: str) -> list[str]:
        drop = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"] if os.geteuid() == 0 else []
        return [*drop, str(programs() / program), *arguments]

    def _log(self) -> Path:
        return self.folder / "log"


@contextlib.contextmanager
def cluster(*options: str, network: int | None = None) -> Iterator[Cluster]:
    """Run a cluster in a folder that goes with it, on the network of a process where one is named."""
    folder = Path(tempfile.mkdtemp(prefix="pullwhy-postgres-"))
    made: Cluster | None = None
    try:
        made = Cluster(folder, *options, network=network)
        made.start()
        yield made
    finally:
        if made is not None:
            made.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
