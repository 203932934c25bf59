"""Loaded by schemathesis, in its own environment: what cannot be guessed from a schema is put in."""

import re
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies

CSV = b"name,email\nAlice,alice@ok.mailverdict.test\nNobody,=1+1@ok.mailverdict.test\n"
TXT = b"alice@ok.mailverdict.test\nno address\n"
TASK_ID = re.compile(r"[0-7][0-9a-f]{7}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

schemathesis.openapi.media_type("text/csv", strategies.just(CSV))
schemathesis.openapi.media_type("text/plain", strategies.just(TXT))
schemathesis.openapi.media_type(XLSX, strategies.just(Path("list.xlsx").read_bytes()))


@schemathesis.hook
def map_path_parameters(_: schemathesis.HookContext, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Let half of the paths that name a possible task name one that is there."""
    if path_parameters and TASK_ID.fullmatch(str(path_parameters.get("id"))):
        return {**path_parameters, "id": Path("task-id").read_text(encoding="utf-8")}
    return path_parameters
