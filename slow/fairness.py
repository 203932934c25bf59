"""A task of ten addresses behind a million of one user, and a worker's memory over that million.

`uv run -m slow.fairness [--addresses N] [--service]`: memory is sampled all the time, probes are spread over it.
"""

import argparse
import asyncio
import time
from pathlib import Path

from slow import machine
from slow.machine import Machine

TASK_MAX = 10_000


def resident_megabytes(pid: int) -> float:
    """Return how much memory a process has, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


def emails(task: int, count: int, domains: int) -> list[str]:
    """Return addresses that no other task has, every second one unknown."""
    return [f"{'alice' if n % 2 else 'nobody'}+{task}.{n}@d{n // 2 % domains}.mailverdict.test" for n in range(count)]


async def open_count(running: Machine) -> int:
    """Return how many addresses lack a verdict."""
    count: int = await running.database.fetchval("SELECT coalesce(sum(email_count - completed - failed), 0) FROM task")
    return count


async def probe(running: Machine, headers: dict[str, str] | None, domains: int, number: int) -> float:
    """Return how long a task of ten addresses takes, in seconds."""
    begun = time.monotonic()
    id = await running.create(emails(1_000_000 + number, 10, domains), headers)
    await running.finished(id, seconds=300, every=0.02)
    return time.monotonic() - begun


async def run(arguments: argparse.Namespace) -> None:
    """Post the large list, probe while it is worked off, print figures."""
    lab = ["--hosts", str(arguments.hosts), "--domains", str(arguments.domains)]
    async with machine.running(workers=arguments.workers, lab=lab) as running:
        large = None if arguments.service else await running.user()
        small = None if arguments.service else await running.user()
        idle = [await probe(running, small, arguments.domains, -1 - number) for number in range(3)]
        print(f"alone: {min(idle):.2f}-{max(idle):.2f} s", flush=True)
        begun = time.monotonic()
        posting = asyncio.create_task(post(running, arguments.addresses, arguments.domains, large))
        waited: list[float] = []
        memory: list[float] = []
        while not posting.done() or await open_count(running):
            await asyncio.sleep(arguments.every)
            memory.append(max(resident_megabytes(worker.pid) for worker in running.workers))
            waited.append(await probe(running, small, arguments.domains, len(waited)))
            left = await open_count(running)
            print(
                f"{time.monotonic() - begun:6.0f} s  open {left:8}  ten addresses {waited[-1]:5.2f} s"
                f"  worker {memory[-1]:4.0f} MB",
                flush=True,
            )
        await posting
        seconds = time.monotonic() - begun
        waited.sort()
        print(
            f"{arguments.addresses} addresses in {seconds:.0f} s ({arguments.addresses / seconds:.0f}/s); "
            f"{len(waited)} tasks of ten: median {waited[len(waited) // 2]:.2f} s, greatest {waited[-1]:.2f} s; "
            f"memory of a worker: first {memory[0]:.0f} MB, greatest {max(memory):.0f} MB, last {memory[-1]:.0f} MB"
        )


async def post(running: Machine, addresses: int, domains: int, headers: dict[str, str] | None) -> None:
    """Post so many addresses as tasks of ten thousand."""
    for number, start in enumerate(range(0, addresses, TASK_MAX)):
        await running.create(emails(number, min(TASK_MAX, addresses - start), domains), headers)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=1_000_000)
    parser.add_argument("--hosts", type=int, default=40)
    parser.add_argument("--domains", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two tasks of ten addresses")
    parser.add_argument("--service", action="store_true", help="post with the service's credential, without users")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
