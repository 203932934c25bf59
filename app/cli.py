"""The commands of `python -m app`; errors are told in one line, with exit code 2 for what the caller can mend."""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.settings import Settings, SettingsError, process_environment

ROOT = Path(__file__).resolve().parent.parent
SDL_PATH = ROOT / "schema" / "schema.graphql"
STOPPED = 130
"""The exit code of a command that was asked to stop."""


class Refused(Exception):
    """The command cannot do what it was asked; the sentence says why. Exit code 2."""


class Failed(Exception):
    """Something else kept the command from what it was asked; the sentence says what. Exit code 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Raises SystemExit on SIGTERM."""
    options = parser().parse_args(arguments)
    try:
        signal.signal(signal.SIGTERM, _leave)  # until a loop hears it: see `signals.cancelled_by_sigterm`
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except KeyboardInterrupt:
        return STOPPED
    except SettingsError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        return code


def exit_code(error: Exception) -> int | None:
    """Give the exit code of an error that is told in one line: 2 when the caller can mend it, 1 when not; else None."""
    from app.database import OutOfReach
    from app.datadir import DataDirUnusable
    from app.initdb import ClusterFailed
    from app.postgres_binaries import PostgresMissing
    from app.serving import CannotListen
    from app.supervise import StartFailed
    from db.migrations import NotPermitted, Unfit

    if isinstance(
        error, Refused | CannotListen | DataDirUnusable | NotPermitted | OutOfReach | PostgresMissing | Unfit
    ):
        return 2
    return 1 if isinstance(error, ClusterFailed | Failed | StartFailed) else None


def parser() -> argparse.ArgumentParser:
    """Describe every command and option."""
    top = argparse.ArgumentParser(
        prog="python -m app",
        description="Start everything for development: PostgreSQL, the verifier with its sandbox, the API and its "
        "worker. The commands start or do one thing alone.",
    )
    _listening(top)
    top.add_argument("--ready-file", type=Path, metavar="F", help="write where everything is to F once ready")
    top.set_defaults(command=_everything)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the API alone", description="Run the API alone, on DATABASE_URL.")
    _listening(serve, suppressed=True)
    serve.set_defaults(command=_serve)

    work = commands.add_parser("work", help="run the service's worker alone", description="Run the worker alone.")
    work.set_defaults(command=_work)

    migrate = commands.add_parser("migrate", help="bring the database up to date", description="Migrate DATABASE_URL.")
    migrate.set_defaults(command=_migrate)

    check = commands.add_parser(
        "check-credits",
        help="prove that the ledger of credits is sound",
        description="Count every balance of DATABASE_URL anew and tell what differs; exit code 1 when something does.",
    )
    check.set_defaults(command=_check_credits)

    sdl = commands.add_parser("sdl", help="print the GraphQL schema", description="Print the schema as SDL.")
    target = sdl.add_mutually_exclusive_group()
    target.add_argument("--write", action="store_true", help=f"write it to {SDL_PATH.relative_to(ROOT)}")
    target.add_argument("--check", action="store_true", help="fail when that file differs")
    sdl.set_defaults(command=_sdl)

    _admin_options(commands.add_parser("admin", help="say who administrates the service"))

    verify = commands.add_parser(
        "verify",
        help="verify a file of addresses",
        description="Verify the addresses of a csv, txt or xlsx file with the running service; where there is none, "
        "one is started for the time.",
    )
    _verify_options(verify)

    key = commands.add_parser(
        "upstream-key",
        help="enter an account's key at a hosted verifier",
        description="Enter keys of accounts at a verifier that makes none for the service.",
    )
    _upstream_key_options(key)
    _reconcile_options(commands.add_parser("reconcile", help="book payments that no webhook told of"))
    return top


def _upstream_key_options(key: argparse.ArgumentParser) -> None:
    setting = key.add_subparsers(required=True, metavar="ACTION").add_parser(
        "set", help="store a key read from standard input", description="Store the key that stands on standard input."
    )
    setting.add_argument("email", metavar="EMAIL", help="sign-in address of the account")
    setting.set_defaults(command=_set_upstream_key)


def _reconcile_options(reconcile: argparse.ArgumentParser) -> None:
    reconcile.description = (
        "Fetch what the payment provider told lately and book what is not known yet. The worker does so every hour for "
        "72 hours; once more does no harm."
    )
    reconcile.add_argument("--hours", type=_hours, default=72, help="how far to look back (72; Stripe keeps 720)")
    reconcile.set_defaults(command=_reconcile)


def _verify_options(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("file", type=Path, metavar="FILE", help="csv, txt or xlsx")
    verify.add_argument("-o", "--output", default="-", metavar="RESULTS", help="csv to write; - is standard output")
    verify.add_argument("--url", help="GraphQL URL of another service; needs --token")
    verify.add_argument("--token", help="bearer token or API key for it")
    verify.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS, help="data directory of the local service")
    verify.set_defaults(command=_verify)


def _admin_options(admin: argparse.ArgumentParser) -> None:
    admin.description = "Say who administrates the service: on DATABASE_URL, or on the service that runs here."
    admin.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS, help="data directory of the local service")
    admin.set_defaults(command=_admin, email=None)
    acts = admin.add_subparsers(title="acts", metavar="ACT", dest="act", required=True)
    for name, said in (("grant", "make an account an administrator"), ("revoke", "make an account a member again")):
        act = acts.add_parser(name, help=said, description=f"{said.capitalize()}. The audit log tells of it.")
        act.add_argument("email", metavar="EMAIL", help="the address that it signs in with")
    acts.add_parser("list", help="list the administrators", description="List the administrators by address.")


def _listening(command: argparse.ArgumentParser, *, suppressed: bool = False) -> None:
    # A subcommand's own defaults would overwrite what was given before it.
    default = argparse.SUPPRESS if suppressed else None
    command.add_argument("--host", default=default, help="address to listen on (HOST, 127.0.0.1)")
    command.add_argument("--port", default=default, help="port to listen on, 0 for a free one (PORT, 8000)")
    command.add_argument("--data-dir", type=Path, default=default, help="where everything is kept (DATA_DIR, ./.data)")


def _settings(options: argparse.Namespace) -> tuple[Settings, Mapping[str, str]]:
    env = dict(process_environment())
    for name in ("host", "port", "data_dir"):
        if (value := getattr(options, name, None)) is not None:
            env[name.upper()] = str(value)
    return Settings.from_env(env), env


def _everything(options: argparse.Namespace) -> int:
    from app import development

    settings, env = _settings(options)
    if settings.is_production:
        raise Refused(
            "`python -m app` is for development; in production run `serve`, `work` and `migrate` on their own"
        )
    return _run(development.run(settings, env, options.ready_file))


def _serve(options: argparse.Namespace) -> int:
    from app import production

    return _run(production.serve(_complete(options)))


def _work(options: argparse.Namespace) -> int:
    from app import production

    return _run(production.work(_complete(options)))


def _migrate(options: argparse.Namespace) -> int:
    from app import database
    from db import migrations

    url = _with_database(options).database_url
    with database.in_reach():
        migrations.upgrade(url)
    return 0


def _hours(text: str) -> int:
    hours = int(text)
    if not 1 <= hours <= 24 * 365:
        raise ValueError
    return hours


def _reconcile(options: argparse.Namespace) -> int:
    from app import production

    settings = _with_database(options)
    if settings.payments != "stripe":
        raise Refused(
            f"PAYMENTS is {settings.payments}: there is nothing outside to ask (the mock is known to its process alone)"
        )
    try:
        return _run_on_database(settings.database_url, production.reconcile_payments(settings, options.hours))
    except production.NotReconciled as error:
        raise Failed(str(error)) from error


def _check_credits(options: argparse.Namespace) -> int:
    from db.session import Database
    from services import credits

    async def check(url: str) -> int:
        db = await Database.open(url, pool_size=1)
        try:
            found = await credits.faults(db)
        finally:
            await db.close()
        for fault in found:
            print(fault)
        print("The ledger is sound." if not found else f"{len(found)} faults: nothing was changed.")
        return 1 if found else 0

    url = _with_database(options).database_url
    return _run_on_database(url, check(url))


def _with_database(options: argparse.Namespace) -> Settings:
    settings, _ = _settings(options)
    if not settings.database_url:
        raise Refused("DATABASE_URL is not set; only `python -m app` brings its own PostgreSQL")
    return settings


def _complete(options: argparse.Namespace) -> Settings:
    """Give the settings of a part that runs alone."""
    settings = _with_secret(options)
    if not settings.upstream_url:
        raise Refused("UPSTREAM_URL is not set; only `python -m app` starts a verifier")
    return settings


def _with_secret(options: argparse.Namespace) -> Settings:
    """Give settings with a database and a secret key; in development that is the one of the data directory."""
    from app import datadir

    settings = _with_database(options)
    if settings.secret_key:
        return settings
    return dataclasses.replace(settings, secret_key=datadir.kept_secret(settings.data_dir / "secret.key"))


def _set_upstream_key(options: argparse.Namespace) -> int:
    from app import upstream_key
    from services.errors import Invalid, NotFound

    settings = _with_secret(options)
    try:
        code = _run_on_database(settings.database_url, upstream_key.store(settings, options.email, upstream_key.read()))
    except (Invalid, NotFound) as error:
        raise Refused(error.message) from None
    print("The key is stored. Running processes use it within a minute.")
    return code


def _sdl(options: argparse.Namespace) -> int:
    from schema.root import schema

    text = schema.as_str().rstrip() + "\n"
    if options.write:
        SDL_PATH.write_text(text)
    elif options.check:
        if not SDL_PATH.exists() or SDL_PATH.read_text() != text:
            print(
                f"error: {SDL_PATH.relative_to(ROOT)} differs; write it with `python -m app sdl --write`",
                file=sys.stderr,
            )
            return 1
    else:
        print(text, end="")
    return 0


def _admin(options: argparse.Namespace) -> int:
    from app import cli_admin

    settings, _ = _settings(options)
    try:
        url = cli_admin.database_url(settings)
        return _run_on_database(url, cli_admin.run(url, options.act, options.email))
    except cli_admin.CannotAdministrate as error:
        raise Refused(str(error)) from error


def _verify(options: argparse.Namespace) -> int:
    from app import verify

    settings, _ = _settings(options)
    return _run(
        verify.run(settings.data_dir.absolute(), options.file, options.output, url=options.url, token=options.token)
    )


def _run_on_database(url: str, coroutine: Coroutine[Any, Any, int]) -> int:
    from app import database

    return _run(database.worked_on(url, coroutine))


def _run(coroutine: Coroutine[Any, Any, int]) -> int:
    import asyncio

    import uvloop

    from app import signals

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(signals.cancelled_by_sigterm(coroutine))
    except signals.Stopped:
        return STOPPED
    finally:
        signal.signal(signal.SIGTERM, _leave)


def _leave(_number: int, _frame: object) -> None:
    # Not KeyboardInterrupt: where that passes through an exec of text, as dataclasses make, CPython ends the process by
    # SIGINT at last, whatever was caught in between.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what is open is being closed
    raise SystemExit(STOPPED)
