"""`verifier check`: asks about addresses now and prints each result as it is found."""

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from itertools import islice
from typing import TextIO

import orjson
import uvloop

from verifier import check_text
from verifier.engine.check import Engine
from verifier.engine.config import EngineConfig
from verifier.engine.evidence import Result, Status

_ADDRESSES_AT_A_TIME = 10_000
_BUDGET_SECONDS = 120.0
_BUDGET_SECONDS_PER_ADDRESS = 0.1


def run(config: EngineConfig, addresses: Iterable[str], *, as_json: bool, out: TextIO = sys.stdout) -> int:
    """Check addresses (from standard input, one a line, if there are none) and print a result a line; return 0."""
    given = iter(addresses)
    first = next(given, None)
    texts = _lines(sys.stdin) if first is None else _with(first, given)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(print_results(config, texts, as_json=as_json, out=out))
    return 0


async def print_results(config: EngineConfig, texts: Iterator[str], *, as_json: bool, out: TextIO) -> None:
    """Check texts, 10,000 at a time so that memory stays flat, and write each result when it is found.

    A terminal gets colours, lines that fit, and the numbers at the end; a pipe gets plain lines of any length.
    """
    is_terminal = out.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    told: Counter[Status] = Counter()
    engine = Engine(config)
    try:
        while batch := list(islice(texts, _ADDRESSES_AT_A_TIME)):
            budget_seconds = _BUDGET_SECONDS + _BUDGET_SECONDS_PER_ADDRESS * len(batch)
            results: AsyncGenerator[Result, None] = engine.check_many(batch, budget_seconds=budget_seconds)
            async with aclosing(results):
                async for result in results:
                    told[result.status] += 1
                    out.write(
                        as_line(result) if as_json else check_text.of(result, with_colour=is_terminal, width=width)
                    )
                    out.flush()
    finally:
        await engine.aclose()
    if is_terminal and not as_json and told.total() > 1:
        out.write(check_text.summary(told))


def as_line(result: Result) -> str:
    """Return a result as one line of JSON: the contract's Result and `input`."""
    return orjson.dumps(as_fields(result)).decode() + "\n"


def as_fields(result: Result) -> dict[str, object]:
    """Return the fields of the contract's Result, and `input`."""
    return {
        "input": result.input,
        "email": result.email,
        "status": str(result.status),
        "reason": str(result.reason),
        "role_based": result.role_based,
        "disposable": result.disposable,
        "free_provider": result.free_provider,
        "suggestion": result.suggestion,
        "checked_at": result.checked_at,
        "score": result.score,
        "score_reasons": list(result.score_reasons),
        "mail_host": result.mail_host,
        "evidence": [
            {
                "stage": str(seen.stage),
                "host": seen.host,
                "code": seen.code,
                "enhanced_code": seen.enhanced_code,
                "text": seen.text,
                "occurred_at": seen.occurred_at,
            }
            for seen in result.evidence
        ],
    }


def _with(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _lines(source: TextIO) -> Iterator[str]:
    """Yield the lines of a text that hold something, without their ends."""
    for line in source:
        text = line.rstrip("\r\n")
        if text.strip():
            yield text
