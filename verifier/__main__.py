"""The verifier's commands: `python -m verifier serve | work | migrate | lab | check | doctor`, each with --help."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvloop

from verifier import logs, process, settings

EXIT_FAILED = 1
EXIT_USAGE = 2


def _run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _migrate(_: argparse.Namespace) -> int:
    read = settings.from_environment({settings.Need.DATABASE})
    logs.configure(read.log_format)
    from verifier.store import migrations

    migrations.upgrade(read.database_url)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    read = settings.from_environment({settings.Need.DATABASE, settings.Need.SERVICE_KEY})
    logs.configure(read.log_format)
    from verifier.api import server

    async def main() -> None:
        stopping = process.stop_on_signals()
        await server.run(read, stopping, lambda url: process.write_ready_file(arguments.ready_file, {"url": url}))

    _run(main())
    return 0


def _work(arguments: argparse.Namespace) -> int:
    read = settings.from_environment({settings.Need.DATABASE})
    logs.configure(read.log_format)
    from verifier.dispatch import worker

    async def main() -> None:
        stopping = process.stop_on_signals()
        await worker.run(read, stopping, lambda: process.write_ready_file(arguments.ready_file, {}))

    _run(main())
    return 0


def _purge(_: argparse.Namespace) -> int:
    read = settings.from_environment({settings.Need.DATABASE})
    logs.configure(read.log_format)
    from verifier.dispatch import housekeeping
    from verifier.store import database

    async def main() -> None:
        pool = await database.open_pool(read.database_url, size=1)
        try:
            purged = await housekeeping.once(pool, housekeeping.Retention.of(read))
        finally:
            await pool.close()
        print(f"results of {purged.tasks} tasks, {purged.log_rows} log rows, pace of {purged.mail_hosts} mail hosts")

    _run(main())
    return 0


def _lab(arguments: argparse.Namespace) -> int:
    read = settings.from_environment()
    logs.configure(read.log_format)
    from verifier.lab import command

    delay_ms = read.lab_delay_ms if arguments.delay_ms is None else arguments.delay_ms

    async def main() -> None:
        await command.run(
            dns_port=arguments.dns_port,
            smtp_port=arguments.smtp_port,
            delay_seconds=delay_ms / 1000,
            ready=lambda: process.write_ready_file(arguments.ready_file, {}),
            stop=process.stop_on_signals(),
        )

    _run(main())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    read = settings.from_environment()
    logs.configure(read.log_format)
    from verifier import check_command

    return check_command.run(read.engine_config(), arguments.addresses, as_json=arguments.json)


def _doctor(arguments: argparse.Namespace) -> int:
    read = settings.from_environment()
    logs.configure(read.log_format)
    from verifier.doctor import command

    return command.run(read.engine_config(), arguments.hosts, as_json=arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m verifier", description="Verify e-mail addresses over DNS and SMTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=run)
        return command

    add("migrate", _migrate, "Bring the database's tables up to date.")
    for command in (
        add("serve", _serve, "Serve the REST contract."),
        add("work", _work, "Carry out tasks; any number may run."),
        lab := add("lab", _lab, "Run a small Internet on loopback: DNS and SMTP servers with fixed behaviour."),
    ):
        command.add_argument("--ready-file", type=Path, metavar="F", help="written once ready, as JSON")
    lab.add_argument("--dns-port", type=int, required=True, metavar="N", help="port of the DNS server; 0 for any")
    lab.add_argument("--smtp-port", type=int, required=True, metavar="N", help="port of the SMTP servers; 0 for any")
    lab.add_argument("--delay-ms", type=int, metavar="N", help="round trip of every answer, in milliseconds")
    add("purge", _purge, "Delete now what is past its time: results, logs; workers do so by themselves, too.")
    check = add("check", _check, "Check addresses now and print what was found.")
    check.add_argument("--json", action="store_true", help="one JSON result a line")
    check.add_argument("addresses", nargs="*", metavar="ADDRESS", help="addresses; from standard input if none")
    doctor = add("doctor", _doctor, "Tell whether mail hosts can be asked from here; 1 if not.")
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.add_argument("hosts", nargs="*", metavar="MX", help="mail hosts to greet, to see that port 25 is open")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; return its exit status: 0, 1 for a failure, 2 for wrong settings or usage."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except settings.SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _is_operational(error):
            raise
        structlog.get_logger().error(str(error), kind=type(error).__name__)
        return EXIT_FAILED
    return status


def _is_operational(error: Exception) -> bool:
    """Tell whether an error is about the machine (ports, database), to be told in one line without a traceback."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("verifier.", "asyncpg", "sqlalchemy"))


if __name__ == "__main__":
    sys.exit(main())
