"""The verifier's programs as children of a development instance: their commands, ports and environment."""

import dataclasses
import hashlib
import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path

from app import datadir
from app.settings import Settings, child_environment
from app.supervise import Program

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, in which the children find the package `verifier`."""
API_PATH = "/api/v1"
SANDBOX_ZONE = "mailverdict.test"


@dataclasses.dataclass(frozen=True)
class Verifier:
    """A verifier on loopback with its sandbox, as one instance runs it."""

    environment: Mapping[str, str]
    run_dir: Path
    port: int
    dns_port: int
    smtp_port: int
    key: str

    @property
    def base_url(self) -> str:
        """Where it answers, without the API's prefix."""
        return f"http://{datadir.LOOPBACK}:{self.port}"

    @property
    def api_url(self) -> str:
        """The contract's base URL."""
        return f"{self.base_url}{API_PATH}"

    def lab(self) -> Program:
        """The sandbox: a name server and mail servers. It needs no database."""
        return self._program("lab", "--dns-port", str(self.dns_port), "--smtp-port", str(self.smtp_port))

    def serve(self) -> Program:
        """The REST API."""
        return self._program("serve")

    def work(self) -> Program:
        """The worker that asks DNS and SMTP."""
        return self._program("work")

    def migrate(self) -> Program:
        """Bring the verifier's database up to date; ends by itself."""
        return Program(name="verifier migrate", command=_command("migrate"), environment=self.environment)

    def _program(self, name: str, *options: str) -> Program:
        ready_file = self.run_dir / f"verifier-{name}.ready"
        command = (*_command(name), *options, "--ready-file", str(ready_file))
        return Program(name=f"verifier {name}", command=command, environment=self.environment, ready_file=ready_file)


def digest(folder: str) -> str:
    """Tell the migrations in a folder from others: a digest of their files and of the queue that they install."""
    found = hashlib.sha256(importlib.metadata.version("pgqueuer").encode())
    for path in sorted((ROOT / folder).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _command(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "verifier", name)


def verifier(settings: Settings, env: Mapping[str, str], database_url: str) -> Verifier:
    """Lay out the verifier of an instance: free ports, a kept service key, and what of `env` it may see."""
    data = settings.data_dir
    run_dir = data / "run"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    port, dns_port, smtp_port = (
        datadir.kept_port(run_dir / f"{name}.port") for name in ("verifier", "lab-dns", "lab-smtp")
    )
    key = datadir.kept_secret(data / "verifier.key")
    zone = f"{SANDBOX_ZONE}={datadir.LOOPBACK}:{dns_port}/{smtp_port}"
    given = child_environment(env)
    zones = ",".join(filter(None, (zone, given.get("VERIFIER_ZONES"))))
    told = {
        "VERIFIER_DATABASE_URL": database_url,
        "VERIFIER_HOST": datadir.LOOPBACK,
        "VERIFIER_PORT": str(port),
        "VERIFIER_SERVICE_KEY": key,
        "VERIFIER_ZONES": zones,
        "VERIFIER_LOG_FORMAT": settings.log_format,
    }
    return Verifier(given | told, run_dir, port, dns_port, smtp_port, key)
