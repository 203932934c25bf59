"""Tries `verifier check --json`, unmodified, against real mail servers: `uv run -m slow.mail_servers`.

Postfix with postgrey, Exim and OpenSMTPD are taken from Debian's packages and unpacked into roots of their own under
.scratch, because they exclude each other. They run on loopback addresses at port 25 in a network and a mount name space
that end with this program: nothing outside is touched. Needs Debian, root, apt-get, dpkg-deb, unshare and ip.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from slow.mail_server_setups import CASES, GREYLIST_SECONDS, NAME_SERVER, SETUPS, Case, Program, Setup
from verifier.tests.engine import servers

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".scratch" / "mail_servers"
TOOLS = ("apt-get", "dpkg-deb", "unshare", "ip", "mount", "chroot", "tar", "openssl")
IS_INSIDE = "--inside"
START_SECONDS = 20.0
HELO = "client.example.test"
REFUSALS_A_SESSION_MAX = 9


def unpack(setup: Setup) -> Path:
    """Download a server's packages, with those that this machine lacks, and unpack them; done once."""
    root = SCRATCH / "roots" / setup.name
    if root.exists():
        return root
    folder = SCRATCH / "packages" / setup.name
    folder.mkdir(parents=True, exist_ok=True)
    planned = subprocess.run(
        ["apt-get", "--simulate", "install", "--no-install-recommends", *setup.packages],
        check=True,
        capture_output=True,
        text=True,
    )
    packages = [line.split()[1] for line in planned.stdout.splitlines() if line.startswith("Inst ")]
    subprocess.run(["apt-get", "download", "-qq", *packages], check=True, cwd=folder, stderr=subprocess.DEVNULL)
    unfinished = root.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, unfinished], check=True)
    unfinished.rename(root)
    return root


def outside() -> int:
    """Unpack, then go on in name spaces of our own."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        print(f"Cannot run here: needs root and {', '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}.")
        return 2
    if any(not (SCRATCH / "roots" / setup.name).exists() for setup in SETUPS):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
    for setup in SETUPS:
        unpack(setup)
    inner = [sys.executable, "-m", "slow.mail_servers", IS_INSIDE]
    return subprocess.run(["unshare", "--net", "--mount", *inner], cwd=ROOT, check=False).returncode


def inside() -> int:
    """Run everything in the name spaces; their end takes the mounts and the network along."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="mail-servers-") as name, ExitStack() as held:
        folder = Path(name)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        held.callback(lambda: subprocess.run(["umount", "--lazy", folder], check=False))
        (folder / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
        subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
        return asyncio.run(_try_all(folder))


def make_root(folder: Path, setup: Setup) -> Path:
    """Lay a server's packages and settings over this machine's own root, in memory."""
    upper, work, root = (folder / setup.name / part for part in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir(parents=True)
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    packed = subprocess.run(["tar", "-C", SCRATCH / "roots" / setup.name, "-c", "."], check=True, capture_output=True)
    subprocess.run(["tar", "-C", root, "-x", "--keep-directory-symlink"], check=True, input=packed.stdout)
    for name in ("dev", "proc"):
        subprocess.run(["mount", "--rbind", f"/{name}", root / name], check=True)
    _add_users(root, setup)
    for name, text in setup.files.items():
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for name, owner in setup.folders.items():
        (root / name.lstrip("/")).mkdir(parents=True, exist_ok=True)
        subprocess.run(["chroot", root, "chown", "-R", owner, name], check=True)
    (root / "etc/resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
    for command in setup.prepare:
        subprocess.run(["chroot", root, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return root


def _add_users(root: Path, setup: Setup) -> None:
    with (root / "etc/passwd").open("a") as users, (root / "etc/group").open("a") as groups:
        for number, user in enumerate(setup.users, 30_000):
            users.write(f"{user}:x:{number}:{number}::/var/lib/{user}:/usr/sbin/nologin\n")
            groups.write(f"{user}:x:{number}:\n")
        for number, group in enumerate(setup.groups, 30_100):
            groups.write(f"{group}:x:{number}:\n")


async def start(root: Path, program: Program) -> asyncio.subprocess.Process:
    """Start a program within its root and wait until its port answers."""
    with (root / "tmp/program.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec("chroot", root, *program.command, stdout=log, stderr=log)
    for _ in range(int(START_SECONDS / 0.1)):
        try:
            _, writer = await asyncio.open_connection(*program.ready_port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return process
        if process.returncode is not None:
            break
    text = (root / "tmp/program.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{' '.join(program.command)} did not start:\n{text}")


async def _try_all(folder: Path) -> int:
    names = servers.Names()
    for number, host in enumerate(sorted({case.host for case in CASES})):
        for domain in sorted({case.domain for case in CASES if case.host == host}):
            names.mail(domain, (10, f"mx{number}.{domain}", host))
    started: list[asyncio.subprocess.Process] = []
    async with servers.serving_names(names, 53):
        try:
            for setup in SETUPS:
                root = make_root(folder, setup)
                started += [await start(root, program) for program in setup.programs]
            first = await check(CASES)
            waiting = [case for case in CASES if case.first]
            await asyncio.sleep(GREYLIST_SECONDS + 1)
            again = await check(waiting)
        finally:
            await asyncio.gather(*map(_stop, started))
    return _report(first, again, folder)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def check(cases: Iterable[Case]) -> dict[str, dict[str, Any]]:
    """Run the command on addresses from standard input; return its results by input."""
    environment = {
        **os.environ,
        "VERIFIER_HELO": HELO,
        "VERIFIER_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "verifier", "check", "--json"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate("".join(f"{case.email}\n" for case in cases).encode())
    return {result["input"]: result for result in map(json.loads, printed.splitlines())}


def _report(first: dict[str, dict[str, Any]], again: dict[str, dict[str, Any]], folder: Path) -> int:
    """Print the verdicts beside what the servers answered; return 1 where one is not right."""
    wrong = 0
    print(f"| {'address':<24} | {'verdict':<28} | the server's answer |\n|{'-' * 26}|{'-' * 30}|---|")
    for case in CASES:
        tries = [(first, case.first or case.verdict), *([(again, case.verdict)] if case.first else [])]
        for results, right in tries:
            result = results.get(case.email, {"status": "none", "reason": "none", "evidence": []})
            verdict = f"{result['status']} {result['reason']}"
            wrong += verdict != right
            if verdict == right and case.note.startswith("one of") and not case.email.startswith("former0@"):
                continue
            print(f"| {case.email:<24} | {verdict + ('' if verdict == right else ' WRONG'):<28} | {_answer(result)} |")
    refusals = _refusals_a_session(folder)
    print(f"\n{len(first) + len(again)} results, {wrong} wrong; refused a session, by Postfix's log: {refusals}")
    return 1 if wrong or max(refusals, default=0) > REFUSALS_A_SESSION_MAX else 0


def _answer(result: dict[str, Any]) -> str:
    said = [seen for seen in result["evidence"] if seen["code"]]
    stages = [seen for seen in said if seen["stage"] == "rcpt"] or said[-1:]
    probes = [seen for seen in said if seen["stage"] == "catchall_probe"]
    texts = [f"{seen['code']} {seen['enhanced_code'] or ''} {seen['text']}"[:100] for seen in stages[-1:]]
    texts += [f"(random one: {seen['code']} {seen['enhanced_code'] or ''})" for seen in probes[-1:]]
    texts += ["over TLS"] * any(seen["stage"] == "starttls" and seen["code"] == 220 for seen in said)
    return " ".join(" ".join(texts).split())


def _refusals_a_session(folder: Path) -> Sequence[int]:
    """Return how many recipients Postfix refused in each session: it logs commands as accepted/all at their end."""
    log = folder / "postfix/root/var/log/mail.log"
    counted: list[int] = []
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        for word in line.split() if " disconnect from " in line else []:
            name, _, counts = word.partition("=")
            if name == "rcpt" and "/" in counts:
                accepted, total = map(int, counts.split("/"))
                counted.append(total - accepted)
            elif name == "rcpt":
                counted.append(0)
    return sorted(counted, reverse=True)


if __name__ == "__main__":
    sys.exit(inside() if IS_INSIDE in sys.argv else outside())
