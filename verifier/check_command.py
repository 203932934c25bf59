"""`verifier check`: asks about addresses now and prints each result as it is found."""

import asyncio
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
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


def run(config: EngineConfig, addresses: Sequence[str], *, as_json: bool, out: TextIO = sys.stdout) -> int:
    """Check addresses (from standard input, one a line, if there are none) and print a result a line; return 0.

    A reader that has seen enough and closes the pipe ends it, without a word.
    """
    texts = iter([_text(os.fsencode(address)) for address in addresses]) if addresses else _lines(sys.stdin.buffer)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(print_results(config, texts, as_json=as_json, out=out))
    except BrokenPipeError:
        # What is left in the buffer has nowhere to go: not even when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
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


def _lines(source: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a file that hold something, without their ends and without the mark of byte order."""
    for number, line in enumerate(source):
        text = _text(line.rstrip(b"\r\n"))
        if number == 0:
            text = text.removeprefix("\ufeff")
        if text.strip():
            yield text


def _text(line: bytes) -> str:
    """Return a line as UTF-8, or as Latin-1 where it is none: lists come from all sorts of programs."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
