"""Structured logs on standard error, ours and the libraries' alike; no address, token or password gets through."""

import functools
import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from app.settings import LogFormat, LogLevel

_SECRET_NAMES = re.compile(r"authorization|password|secret|token|api_?key|cookie|credential", re.IGNORECASE)
# In this order: a password inside a URL would look like an address to the third.
_SECRET_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)[^\s/@]+@"), ""),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "<token>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 <token>"),
    (re.compile(r"\bmv(?:k|_live)_[\w-]+"), "<key>"),
    (re.compile(r"(?<=/downloads/)[\w.~%=-]+"), "<token>"),
    (re.compile(r"""[^\s@<>"'(),;:=\[\]{}]+@(?:[\w-]+\.)+[\w-]+"""), "<address>"),
)
# What every such text holds: most have none of it, and are let through after one look.
_SUSPECT = re.compile(r"[@.]|bearer|basic|mvk_|mv_live_|/downloads/", re.IGNORECASE)
_QUIET = ("asyncio", "httpx", "httpcore", "pgqueuer", "alembic", "uvicorn", "websockets")


def configure(log_format: LogFormat, log_level: LogLevel) -> None:
    """Send every log line to standard error: as JSON for machines, in columns for people.

    What is bound to structlog's context (request id, operation name) stands in each line, the libraries' included.
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.format_exc_info,
        without_secrets,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def without_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of a log line: values by their names, and texts by their shape. A structlog processor."""
    for name, value in event.items():
        if not name.startswith("_"):
            event[name] = _named(name, value)
    return event


def _named(name: str, value: object) -> object:
    return "***" if value is not None and _is_secret(name) else _cleaned(value)


@functools.lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def _cleaned(value: object) -> object:
    match value:
        case str() if _SUSPECT.search(value):
            for pattern, instead in _SECRET_TEXTS:
                value = pattern.sub(instead, value)
            return value
        case dict():
            return {key: _named(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_cleaned(inner) for inner in value]
        case None | str() | bool() | int() | float():
            return value
        case _:
            return _cleaned(str(value))


def _renderer(log_format: LogFormat) -> Callable[..., Any]:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    # Plain tracebacks: the default shows local variables, which hold addresses, and takes minutes to draw large ones.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
