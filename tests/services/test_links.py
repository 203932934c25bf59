"""Signed links: what was not made by us, or has run out, leads nowhere."""

import base64
import random
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from db import ids
from db.models import Verdict, VerdictReason
from db.queries.results import ResultConditions
from services.errors import NotFound
from services.exports import DownloadFormat
from services.links import LIFETIME, Download, Links

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LINKS = Links("a-secret-of-the-tests", "http://service.test/")
FILTERED = Download(
    ids.new_uuid(),
    DownloadFormat.CSV,
    ResultConditions((Verdict.EXISTS,), (VerdictReason.ACCEPTED, VerdictReason.OTHER), "bücher.de", "a%b"),
)


def token_of(download: Download, links: Links = LINKS) -> str:
    return links.make(download, NOW).url.rpartition("/")[2]


def unpacked(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "download",
    [
        FILTERED,
        Download(ids.new_uuid(), DownloadFormat.TXT, ResultConditions()),
        Download(ids.new_uuid(), DownloadFormat.CSV, ResultConditions(email_contains="x" * 254)),
    ],
)
def test_a_link_stands_for_what_it_was_made_for(download: Download) -> None:
    link = LINKS.make(download, NOW)
    assert link.url.startswith("http://service.test/downloads/")
    assert (link.format, link.expires_at) == (download.format, NOW + LIFETIME)
    assert LINKS.read(link.url.rpartition("/")[2], NOW) == download


def test_a_link_runs_out_after_fifteen_minutes() -> None:
    token = token_of(FILTERED)
    assert LINKS.read(token, NOW + timedelta(minutes=14, seconds=59)) == FILTERED
    for seconds in (900, 901, 10**8):
        with pytest.raises(NotFound):
            LINKS.read(token, NOW + timedelta(seconds=seconds))


def test_a_changed_filter_task_format_or_time_is_refused() -> None:
    signed = unpacked(token_of(FILTERED))
    signature, content = signed[:32], orjson.loads(signed[32:])
    for index, value in enumerate([str(ids.new_uuid()), "TXT", content[2] + 3600, None, None, None, None]):
        changed = [*content[:index], value, *content[index + 1 :]]
        with pytest.raises(NotFound):
            LINKS.read(packed(signature + orjson.dumps(changed)), NOW)


def test_another_secret_is_refused() -> None:
    with pytest.raises(NotFound):
        LINKS.read(token_of(FILTERED, Links("another secret", "http://service.test")), NOW)


@pytest.mark.parametrize("token", ["", "x", "=", "é", "\0", "\ud800", "A" * 43, "A" * 44, "A" * 5000, "....", "a b"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.read(token, NOW)


def test_a_damaged_token_is_refused_wherever_it_is_damaged() -> None:
    token, chance = token_of(FILTERED), random.Random(5)
    for at in chance.sample(range(len(token) - 1), 60):
        with pytest.raises(NotFound):
            LINKS.read(token[:at], NOW)
        with pytest.raises(NotFound):
            LINKS.read(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :], NOW)
