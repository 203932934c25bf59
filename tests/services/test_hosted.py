"""The files of results of a hosted verifier: fetched once, read in pages."""

import uuid
from collections.abc import AsyncIterator

import pytest

from services.errors import UpstreamDown
from services.upstream import http
from services.upstream.hosted import HostedUpstream
from tests.services.faulty_upstream import Fault, KnownTask
from tests.services.hosted_upstream import KEY, HostedFake

CSV = {"content-type": "text/csv"}


@pytest.fixture
async def upstream(hosted: HostedFake) -> AsyncIterator[HostedUpstream]:
    client = HostedUpstream(hosted.url)
    yield client
    await client.close()


def known(hosted: HostedFake, count: int) -> uuid.UUID:
    task = KnownTask(uuid.uuid4(), [f"no-{n}@example.com" for n in range(count)])
    hosted.tasks[task.id] = task
    return task.id


async def test_all_results_of_a_part_come_by_one_download(hosted: HostedFake, upstream: HostedUpstream) -> None:
    page = await upstream.results(KEY, known(hosted, 10_000), after=0)
    assert (len(page.results), page.next_after, page.is_last) == (10_000, 10_000, True)
    assert hosted.calls["download"] == 1


async def test_a_longer_file_goes_on_behind_its_first_page(hosted: HostedFake, upstream: HostedUpstream) -> None:
    task_id = known(hosted, 10_001)
    assert not (await upstream.results(KEY, task_id, after=0)).is_last
    page = await upstream.results(KEY, task_id, after=10_000)
    assert ([result.email for result in page.results], page.is_last) == (["no-10000@example.com"], True)


async def test_a_download_that_fails_is_tried_again(hosted: HostedFake, upstream: HostedUpstream) -> None:
    hosted.err("download", Fault(500, b"email,status\nnobody@example.com,exists\n", CSV))
    page = await upstream.results(KEY, known(hosted, 1), after=0)
    assert [result.email for result in page.results] == ["no-0@example.com"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(200, b'{"url": "https://example.com/file"}'),
        Fault(200, b"", CSV),
        Fault(200, b"address,status\na@example.com,exists\n", CSV),
        Fault(200, b"email,status\na@example.com,perhaps\n", CSV),
        Fault(200, b'email,status\n"' + b"a" * 200_000 + b'",exists\n', CSV),
    ],
    ids=["JSON", "nothing", "no address", "no verdict", "a long field"],
)
async def test_a_file_that_cannot_be_read_is_a_fault_of_the_verifier(
    fault: Fault, hosted: HostedFake, upstream: HostedUpstream
) -> None:
    hosted.err("download", fault)
    with pytest.raises(UpstreamDown, match="could not be read"):
        await upstream.results(KEY, known(hosted, 1), after=0)


async def test_a_file_without_end_fills_no_disk(
    hosted: HostedFake, upstream: HostedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_FILE_BYTES_MAX", 10_000)
    task_id = known(hosted, 10)
    assert len((await upstream.results(KEY, task_id, after=0)).results) == 10
    hosted.err_always("download", Fault(200, b"email,status\n" + b"a@example.com,exists\n" * 1000, CSV))
    with pytest.raises(UpstreamDown, match="too long"):
        await upstream.results(KEY, task_id, after=0)
