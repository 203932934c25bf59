"""What a running instance tells about itself: its ready file, and how others on the machine find it."""

import contextlib
import dataclasses
import json
import os
import typing
from pathlib import Path

from app import datadir

FILE_NAME = "service.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """Where a running instance is reached. Holds a bearer token: written to files that only their owner reads."""

    graphql: str
    web: str
    verifier: str
    token: str = dataclasses.field(repr=False)
    pid: int = dataclasses.field(default_factory=os.getpid)

    def write(self, path: Path) -> None:
        """Write the facts to a file as JSON, all at once, readable by us alone."""
        datadir.write_private(path, json.dumps(dataclasses.asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> typing.Self | None:
        """Read what an instance wrote; None where there is nothing of use."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(path.read_text()))
        return None
