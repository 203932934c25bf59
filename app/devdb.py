"""An embedded PostgreSQL for development and tests: our own child, which cannot outlive us, on the wheel's programs.

Linux and macOS. On macOS nothing ends the server after a kill -9 of its owner; the next owner takes it over.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from app import datadir, initdb, os_user, postgres_binaries, postmaster, processes
from app.datadir import DataDirUnusable
from app.postgres_binaries import Installation

DATABASES = ("mailverdict", "verifier")
SUPERUSER = "mailverdict"
START_TRIES = 4
RETRY_SECONDS = 0.5
RECOVERY_SECONDS = 120.0
"""How long a server may take to become ready: after a crash it replays its log first."""
ORPHAN_SECONDS = 3.0
"""How long a server of an owner that died is given to begin its own shutdown before it is taken over."""
SOCKET_PATH_BYTES_MAX = 90
"""A unix socket's path has room for 107 bytes (unix(7)); the server adds `/.s.PGSQL.<port>`."""
LOG_BYTES_MAX = 10 * 1024 * 1024


class DevCluster:
    """One embedded PostgreSQL in a data directory, with the two databases of the project.

    `is_durable=False` turns off everything that guards against a crash of the machine: for tests alone.
    Start it from the main thread (see `processes.tied_to_us`). Raises DataDirUnusable when the directory cannot be
    written or another instance owns it, PostgresMissing when there is no PostgreSQL, ClusterFailed when it does not
    start.
    """

    def __init__(self, data_dir: Path, *, is_durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self._is_durable = is_durable
        self._lock: datadir.Lock | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._taken_over_pid: int | None = None
        self._home = self.data_dir
        self._password = ""
        self.port = 0

    def __enter__(self) -> typing.Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> typing.Self:
        self.start()  # in the loop's own thread on purpose: the child's life is tied to the thread that starts it
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._server is not None:
            return self._server.pid
        if self._taken_over_pid is None:
            raise RuntimeError("the cluster is not running")
        return self._taken_over_pid

    @property
    def socket_dir(self) -> Path | None:
        """Folder of the unix socket, closed to all but the server's user; None where its path would be too long."""
        return self._home if len(os.fsencode(self._home)) <= SOCKET_PATH_BYTES_MAX else None

    def url(self, database: str) -> str:
        """Give the URL of a database of the cluster, password included."""
        return _url(self._password, self.port, database)

    def start(self) -> None:
        """Start the server, or take over the one that is live in the data directory, and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Begin to start; `wait_ready` ends it. In between the caller may do other things."""
        self._lock = datadir.Lock(self.data_dir, "postgres")
        try:
            self._user = os_user.for_server()
            self._installation = self._choose_installation()
            self._home = self._choose_home()
            self._password = datadir.kept_secret(self.data_dir / "postgres.password")
            if not (self._cluster / "PG_VERSION").exists():
                self._make()
            if not self._take_over():
                self._spawn()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self) -> None:
        """Wait until the server takes connections; starts it again when it ends for a passing reason."""
        try:
            for tries_left in reversed(range(START_TRIES)):
                if self._taken_over_pid is not None or self._becomes_ready():
                    return
                if tries_left:  # a port taken meanwhile, or backends of a killed server that have not ended yet
                    time.sleep(RETRY_SECONDS)
                    self._spawn()
            raise self._failed()
        except BaseException:
            self.stop()
            raise

    async def revive(self) -> bool:
        """Start the server again if it has ended by itself; tells whether it had. Raises as `start` does."""
        if self._server is None or self._server.poll() is None:
            return False
        try:
            for _ in range(START_TRIES):
                self._spawn()  # in the loop's own thread, as above; it is waited for in another
                if await asyncio.to_thread(self._becomes_ready):
                    return True
                await asyncio.sleep(RETRY_SECONDS)
            raise self._failed()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server (fast shutdown, then immediate) and give the data directory free."""
        if self._server is not None:
            self._end(self._server)
            self._server.wait()
            self._server = None
        if self._taken_over_pid is not None:
            postmaster.end(self._taken_over_pid)
            self._taken_over_pid = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def noted(self, name: str) -> str:
        """Give what was noted about the cluster's contents under a name; empty for nothing."""
        with contextlib.suppress(FileNotFoundError):
            return self._note(name).read_text()
        return ""

    def note(self, name: str, text: str) -> None:
        """Note something about the cluster's contents; forgotten when the cluster is made anew."""
        datadir.write_private(self._note(name), text)

    def remove(self) -> None:
        """Delete the stopped cluster's files, those outside the data directory included: the end of a test cluster."""
        if self._home != self.data_dir:
            shutil.rmtree(self._home, ignore_errors=True)

    @property
    def log_path(self) -> Path:
        """File of the server's own log."""
        return self.data_dir / "postgres.log"

    @property
    def _cluster(self) -> Path:
        return self._home / "cluster"

    def _note(self, name: str) -> Path:
        return self._home / f"{name}.note"

    def _choose_installation(self) -> Installation:
        """Prefer the first installation; but one that made the cluster that is here already."""
        found = list(postgres_binaries.installations())
        if not found:
            raise postgres_binaries.PostgresMissing
        made_here = [one for one in found if (self.data_dir / f"postgres-{one.major}").exists()]
        return postgres_binaries.within_reach((made_here or found)[0], self._user)

    def _choose_home(self) -> Path:
        """Give the cluster's folder, made if need be: in the data directory, or where the server's user may go."""
        name = f"postgres-{self._installation.major}"
        home = self.data_dir / name
        if not home.exists() and self._user is not None and not self._user.may_enter(self.data_dir):
            digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
            outside = postgres_binaries.open_place() / f"{name}-{digest}"
            # What is there already was left by a data directory of this name that has been deleted since.
            postmaster.end_in(outside / "cluster")
            shutil.rmtree(outside, ignore_errors=True)
            outside.mkdir(mode=0o700)
            home.unlink(missing_ok=True)
            home.symlink_to(outside)
        home = home.resolve()
        home.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None:
            self._user.own(home)
        return home

    def _make(self) -> None:
        for note in self._home.glob("*.note"):
            note.unlink()
        initdb.make(
            self._cluster,
            self._installation,
            self._user,
            superuser=SUPERUSER,
            password=self._password,
            databases=DATABASES,
            is_durable=self._is_durable,
        )

    def _take_over(self) -> bool:
        """Wait for a server of an owner that died to end; take over the one that goes on and answers."""
        began = time.monotonic()
        while True:
            found = postmaster.read(self._cluster)
            if found is None or not found.is_running_in(self._cluster):
                return False
            waited = time.monotonic() - began
            if found.is_ready and waited > ORPHAN_SECONDS and datadir.answers(found.port):
                self._taken_over_pid, self.port = found.pid, found.port
                return True
            if waited > RECOVERY_SECONDS:
                raise DataDirUnusable(
                    f"the PostgreSQL in {self._cluster} (process {found.pid}) neither answers nor ends"
                )
            time.sleep(0.02)

    def _spawn(self) -> None:
        self.port = datadir.kept_port(self.data_dir / "postgres.port")
        old = postmaster.read(self._cluster)
        # The id in a pid file left by a crash may be another process's by now. The server takes a live id for a rival,
        # unless told to overlook it; it still finds a true rival by its shared memory.
        stale = {"PG_GRANDPARENT_PID": str(old.pid)} if old else {}
        with self._open_log() as log:
            self._server = subprocess.Popen(
                [self._installation.bin / "postgres", "-D", self._cluster, *self._options()],
                cwd="/",
                env={**initdb.ENVIRONMENT, **stale},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=processes.tied_to_us(signal.SIGINT),  # noqa: PLW1509 - two system calls, no lock is taken
                **(self._user.identity() if self._user else {}),
            )

    def _options(self) -> Iterator[str]:
        values = {
            "listen_addresses": datadir.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_dir or ""),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "max_connections": "200",
        }
        if not self._is_durable:
            values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "2GB"}
        for name, value in values.items():
            yield from ("-c", f"{name}={value}")

    def _open_log(self) -> typing.BinaryIO:
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.unlink()
        return self.log_path.open("ab")

    def _failed(self) -> initdb.ClusterFailed:
        return initdb.ClusterFailed(
            f"the embedded PostgreSQL did not start; the end of {self.log_path}: {self._log_end()}"
        )

    def _log_end(self) -> str:
        lines = self.log_path.read_text(errors="replace").splitlines()
        return " | ".join(line for line in lines[-6:] if line)

    def _becomes_ready(self) -> bool:
        server = self._server
        if server is None:
            raise RuntimeError("the cluster was not launched")
        deadline = time.monotonic() + RECOVERY_SECONDS
        while server.poll() is None:
            found = postmaster.read(self._cluster)
            if found and found.pid == server.pid and found.is_ready:
                return True
            if time.monotonic() > deadline:
                raise initdb.ClusterFailed(
                    f"the embedded PostgreSQL was not ready after {RECOVERY_SECONDS:.0f} s: {self._log_end()}"
                )
            time.sleep(0.01)
        return False

    @staticmethod
    def _end(server: subprocess.Popen[bytes]) -> None:
        for how in postmaster.STOP_SIGNALS:
            if server.poll() is not None:
                return
            server.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(postmaster.STOP_SECONDS)


def running_url(data_dir: Path) -> str | None:
    """Give the URL of the service's database in the cluster that runs in a data directory; None where none does."""
    try:
        port = int((data_dir / "postgres.port").read_text())
        password = (data_dir / "postgres.password").read_text().strip()
    except (OSError, ValueError):
        return None
    return _url(password, port, DATABASES[0]) if datadir.answers(port) else None


def _url(password: str, port: int, database: str) -> str:
    return f"postgresql://{SUPERUSER}:{password}@{datadir.LOOPBACK}:{port}/{database}"
