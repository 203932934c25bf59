"""Those who are measured: two peers that pip and npm install, the engine as a library, and the command."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import lab

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".scratch" / "peers"
PYTHON_PEER, NODE_PEER = "py3-validate-email", "deep-email-validator"
OURS, LIBRARY = "verifier check --json", "the engine as a library"
HELO = "benchmark.example.org"
MAIL_FROM = f"probe@{HELO}"
OPEN_MAX = 50


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody who is asked about all addresses in one process."""

    name: str
    command: tuple[str, ...]
    version: str
    environment: Mapping[str, str]


def setup() -> None:
    """Install the peers into a folder that git does not see; pip and npm find them where they are set up to look."""
    PEERS.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS / "python"], check=True)
    subprocess.run([PEERS / "python" / "bin" / "python", "-m", "pip", "install", "--quiet", PYTHON_PEER], check=True)
    (PEERS / "node").mkdir(exist_ok=True)
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(PEERS / "node"))
    subprocess.run([program("npm"), "install", *options, NODE_PEER], check=True)
    for contestant in everybody():
        print(f"{contestant.name} {contestant.version}")


def everybody() -> list[Contestant]:
    """Everybody who takes part, ourselves last. Exits where the peers are not installed."""
    python, node = PEERS / "python" / "bin" / "python", PEERS / "node"
    package = node / "node_modules" / NODE_PEER / "package.json"
    if not (python.exists() and package.exists()):
        sys.exit("the peers are missing: run `benchmarks/verifier.py setup` first")
    asked = (str(python), "-c", f"import importlib.metadata as m; print(m.version('{PYTHON_PEER}'))")
    python_version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    ours = {
        "VERIFIER_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
        "VERIFIER_HELO": HELO,
        "VERIFIER_MAIL_FROM": MAIL_FROM,
        "VERIFIER_CONCURRENCY": str(OPEN_MAX),
    }
    peers = ROOT / "benchmarks" / "peers"
    return [
        Contestant(
            PYTHON_PEER,
            (str(python), str(peers / "py3_validate_email.py"), str(OPEN_MAX), HELO, MAIL_FROM),
            python_version,
            {},
        ),
        Contestant(
            NODE_PEER,
            (program("node"), str(peers / "deep_email_validator.mjs"), str(node), str(OPEN_MAX), MAIL_FROM),
            json.loads(package.read_text(encoding="utf-8"))["version"],
            # Its names are looked up by as many threads as it asks addresses at a time, not by four.
            {"UV_THREADPOOL_SIZE": str(OPEN_MAX)},
        ),
        Contestant(LIBRARY, (sys.executable, "-m", "benchmarks.peers.library"), "this tree", ours),
        Contestant(OURS, (sys.executable, "-m", "verifier", "check", "--json"), "this tree", ours),
    ]


async def asked(
    contestant: Contestant, addresses: Sequence[str], network: lab.LabProcess
) -> tuple[float, float | None, dict[str, str]]:
    """Have a contestant check all addresses; gives the seconds of the process and within it, and the verdicts.

    Exits where it fails.
    """
    await network.reset()
    started_at = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *contestant.command,
        cwd=ROOT,
        env={**os.environ, **contestant.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate("\n".join(addresses).encode() + b"\n")
    seconds = time.monotonic() - started_at
    if process.returncode:
        sys.exit(f"{contestant.name} failed")
    if contestant.name == OURS:
        results = [json.loads(line) for line in output.splitlines()]
        return seconds, None, {result["input"]: result["status"] for result in results}
    told = json.loads(output)
    return seconds, told["seconds"], told["verdicts"]


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is needed")
    return path
