"""The main job: addresses in over REST, verdicts out, asked by the real engine in the lab."""

import asyncio
import csv
import io
from collections import Counter

from verifier.tests.rest import Json, Rest, ok

SANDBOX = {
    "alice@ok.mailverdict.test": ("exists", "accepted"),
    "nobody@ok.mailverdict.test": ("not_exists", "no_such_user"),
    "alice@catchall.mailverdict.test": ("catchall", "accept_all"),
    "alice@blocked.mailverdict.test": ("unknown", "blocked"),
    "alice@full.mailverdict.test": ("exists", "mailbox_full"),
    "alice@nxdomain.mailverdict.test": ("not_exists", "no_domain"),
    "alice@nullmx.mailverdict.test": ("not_exists", "null_mx"),
    "alice@servfail.mailverdict.test": ("unknown", "dns_failure"),
    "alice@greylisted.mailverdict.test": ("exists", "accepted"),
}
MALFORMED = ["", "no at sign", "a@b@c", "x\x00y@ok.mailverdict.test", "back\\slash\\0\x00", "tab\there", "two\r\nlines"]
SAME = ["alice@ok.mailverdict.test", " alice@OK.mailverdict.test\t", "alice@ok.MAILVERDICT.test"]


def _verdicts(results: list[Json]) -> dict[str, tuple[str, str]]:
    return {result["email"]: (result["status"], result["reason"]) for result in results}


async def test_every_sandbox_address_gets_its_verdict_once(working: Rest) -> None:
    emails = [*SANDBOX, *MALFORMED, *SAME]
    task = await working.create(emails)
    ended = await working.finished(task["id"])
    results = await working.all_results(task["id"])
    assert Counter(result["email"] for result in results) == Counter(emails)
    assert [result["seq"] for result in results] == list(range(1, len(emails) + 1))
    expected = {
        **SANDBOX,
        **dict.fromkeys(MALFORMED, ("invalid_syntax", "syntax")),
        **dict.fromkeys(SAME, ("exists", "accepted")),
    }
    assert _verdicts(results) == expected
    counted = ended["metrics"]["verification_status"]
    assert {name: counted[name] for name in ("exists", "not_exists", "catchall", "invalid_syntax", "unknown")} == {
        "exists": 6, "not_exists": 3, "catchall": 1, "invalid_syntax": 7, "unknown": 2,
    }  # fmt: skip
    assert ended["metrics"]["progress_percent"] == 100
    assert ended["finished_at"] is not None
    assert all(result["evidence"] for result in results)


async def test_the_files_hold_every_result_in_the_order_of_the_list(working: Rest) -> None:
    emails = [*MALFORMED, *SAME, "nobody@ok.mailverdict.test"]
    task = await working.create(emails)
    await working.finished(task["id"])
    csv_file = await working.client.get(f"/tasks/{task['id']}/download")
    rows = list(csv.DictReader(io.StringIO(csv_file.text, newline="")))
    assert [row["email"] for row in rows] == emails
    assert ",".join(rows[0]) == "email,status,reason,role_based,disposable,free_provider,suggestion,checked_at"
    assert [row["status"] for row in rows] == ["invalid_syntax"] * 7 + ["exists"] * 3 + ["not_exists"]
    assert rows[0]["role_based"] == "false"
    txt_file = await working.client.get(f"/tasks/{task['id']}/download", params={"format": "txt"})
    lines = txt_file.text.removesuffix("\n").split("\n")
    assert len(lines) == len(emails)
    assert all(len(line.split("\t")) == 2 for line in lines)
    assert lines[-1] == "nobody@ok.mailverdict.test\tnot_exists"


async def test_a_greylisted_address_is_pending_until_its_window_opens(working: Rest) -> None:
    task = await working.create(["alice@greylisted.mailverdict.test", "alice@ok.mailverdict.test"])
    async with asyncio.timeout(5):
        while not (seen := await working.results(task["id"]))["results"]:
            await asyncio.sleep(0.02)
    assert _verdicts(seen["results"]) == {"alice@ok.mailverdict.test": ("exists", "accepted")}
    assert (await working.task(task["id"]))["metrics"]["job_status"]["completed"] == 1
    await working.finished(task["id"])
    assert _verdicts(await working.all_results(task["id"])) == {
        "alice@ok.mailverdict.test": ("exists", "accepted"),
        "alice@greylisted.mailverdict.test": ("exists", "accepted"),
    }


async def test_a_reader_that_goes_on_after_the_last_sequence_misses_nothing(working: Rest) -> None:
    emails = [f"{'alice' if n % 2 else 'nobody'}+{n}@ok.mailverdict.test" for n in range(600)]
    task = await working.create(emails)
    after = 0
    seen: list[int] = []
    async with asyncio.timeout(30):
        while len(seen) < len(emails):
            page = await working.results(task["id"], after=after, limit=70)
            seen += [result["seq"] for result in page["results"]]
            after = page["next_after"]
    assert seen == list(range(1, len(emails) + 1))
    assert (await working.results(task["id"], after=after))["results"] == []


async def test_a_canceled_task_takes_no_more_verdicts(working: Rest) -> None:
    task = await working.create(["alice@greylisted.mailverdict.test", "alice@ok.mailverdict.test"])
    async with asyncio.timeout(5):
        while not (await working.results(task["id"]))["results"]:
            await asyncio.sleep(0.02)
    assert (await working.client.post(f"/tasks/{task['id']}/cancel")).status_code == 202
    await asyncio.sleep(1.2)  # the greylisted address would have been asked again by now
    jobs = (await working.task(task["id"]))["metrics"]["job_status"]
    assert jobs == {"pending": 1, "processing": 0, "completed": 1, "failed": 0}
    assert len(await working.all_results(task["id"])) == 1
    assert (await working.client.post(f"/tasks/{task['id']}/cancel")).status_code == 202


async def test_a_task_without_a_well_formed_address_ends(working: Rest) -> None:
    task = await working.create(["nothing", "nothing", ""])
    ended = await working.finished(task["id"])
    assert ended["metrics"]["verification_status"]["invalid_syntax"] == 3
    assert ended["finished_at"] is not None


async def test_one_address_is_verified_at_once(sandbox: Rest) -> None:
    for email, (status, reason) in SANDBOX.items():
        result = ok(await sandbox.client.post("/verify", json={"email": email}))
        if "greylisted" in email:  # a single check waits for no window
            assert (result["status"], result["reason"]) == ("unknown", "greylisted")
        else:
            assert (result["status"], result["reason"]) == (status, reason), email
    malformed = ok(await sandbox.client.post("/verify", json={"email": "x\x00"}))
    assert malformed["status"] == "invalid_syntax"
    assert (await sandbox.client.post("/verify", json={"email": "a" * 1025})).status_code == 400
