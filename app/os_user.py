"""The user of the operating system under whom a server runs that refuses to run as root."""

import contextlib
import dataclasses
import os
import pwd
import stat
import typing
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class OsUser:
    """One user of the operating system."""

    name: str
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Tell whether the user can pass `folder` and all above it (mode bits alone: access lists are not read)."""
        return all(self._may_pass(place.stat()) for place in (folder, *folder.parents))

    def identity(self) -> dict[str, typing.Any]:
        """Give the arguments of subprocess that make a child this user, with no other group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Make the user the owner of a file or folder, of itself alone."""
        os.chown(path, self.uid, self.gid)

    def _may_pass(self, info: os.stat_result) -> bool:
        if info.st_uid == self.uid:
            return bool(info.st_mode & stat.S_IXUSR)
        if info.st_gid == self.gid:
            return bool(info.st_mode & stat.S_IXGRP)
        return bool(info.st_mode & stat.S_IXOTH)


def for_server() -> OsUser | None:
    """Give the user for a server when we are root: `postgres` where there is one, else `nobody`; None when we are not.

    Raises LookupError when there is neither.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return OsUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise LookupError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
