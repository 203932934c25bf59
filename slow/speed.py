"""10,000 addresses through REST, results written: seconds by round trip and number of workers.

`uv run -m slow.speed [--addresses N] [--delay-ms N …] [--workers N …] [--repeat N]`
"""

import argparse
import asyncio
import resource
import time

from slow import machine


def emails(count: int, domains: int) -> list[str]:
    """Return addresses spread over the domains, every second one unknown."""
    return [f"{'alice' if n % 2 else 'nobody'}+{n}@d{n // 2 % domains}.mailverdict.test" for n in range(count)]


async def measure(arguments: argparse.Namespace, delay_ms: float, workers: int) -> None:
    """Run the job so many times and print how long it took."""
    lab = ["--hosts", str(arguments.hosts), "--domains", str(arguments.domains), "--delay-ms", str(delay_ms)]
    async with machine.running(workers=workers, lab=lab) as running:
        for _ in range(arguments.repeat):
            begun = time.monotonic()
            id = await running.create(emails(arguments.addresses, arguments.domains))
            created = time.monotonic() - begun
            task = await running.finished(id, seconds=300)
            seconds = time.monotonic() - begun
            counts = task["metrics"]["verification_status"]
            results = await running.results(id)
            print(
                f"{delay_ms:5.0f} ms  {workers} workers  {arguments.addresses} addresses  {seconds:6.2f} s"
                f"  ({arguments.addresses / seconds:6.0f}/s; created in {created:.2f} s, {len(results)} results,"
                f" exists {counts['exists']}, not_exists {counts['not_exists']})",
                flush=True,
            )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"       processor time of all processes so far: {used.ru_utime + used.ru_stime:.1f} s", flush=True)


async def run(arguments: argparse.Namespace) -> None:
    """Measure every pair."""
    for delay_ms in arguments.delay_ms:
        for workers in arguments.workers:
            await measure(arguments, delay_ms, workers)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--addresses", type=int, default=10_000)
    parser.add_argument("--hosts", type=int, default=40)
    parser.add_argument("--domains", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, nargs="+", default=[0.0, 40.0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
