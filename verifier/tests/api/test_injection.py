"""Nothing that a caller sends becomes a command of its own, and nobody's private network is asked.

Lines 31 and 32 of the security list, from the wire of the REST contract to the command log of the lab.
"""

import re

from verifier.lab.internet import Lab
from verifier.tests.rest import Json, Rest, ok

HOST = "ok.mailverdict.test"
INJECTED = [
    f"alice@{HOST}\r\nDATA",
    f"alice@{HOST}\nRCPT TO:<eve@{HOST}>",
    f"alice\r\nDATA\r\n.\r\n@{HOST}",
    f"alice@{HOST}>\r\nMAIL FROM:<eve@evil.example>",
    f"alice@{HOST}> NOTIFY=NEVER",
    f"alice@{HOST}> BODY=8BITMIME <x",
    f'"alice\r\nDATA"@{HOST}',
    f'"alice\\\r\nDATA"@{HOST}',
    f'"alice> SIZE=1 <"@{HOST}',
    f'"eve>\\"<"@{HOST}',
    f"alice\x00@{HOST}",
    f"alice\x0b\x0cDATA@{HOST}",
    f"alice\x85DATA@{HOST}",
    f"alice\u2028DATA\u2029@{HOST}",
    f"alice\u000d\u000aQUIT@{HOST}",
    f"alice\uff1e\uff0d@{HOST}",
    f"\u560d\u560aDATA@{HOST}",
    f"alice@{HOST}\r\n",
    f"\r\nDATA\r\nalice@{HOST}",
    "alice@ok.mailverdict.test\r\n.mailverdict.test",
    "alice@[127.0.0.1]\r\nDATA",
    f"<alice@{HOST}>",
    f"alice@{HOST},eve@{HOST}",
    f"@evil.example:alice@{HOST}",
]
COMMAND = re.compile(
    r"(?:EHLO|HELO) [A-Za-z0-9.-]+|STARTTLS|RSET|QUIT|MAIL FROM:<[^<>\s]*>(?: SMTPUTF8)?"
    r'|RCPT TO:<(?:[^<>"\s]+|"(?:[^"\\\r\n]|\\[^\r\n])*")@[A-Za-z0-9.-]+>'
)
VERBS = {"EHLO", "HELO", "STARTTLS", "MAIL", "RCPT", "RSET", "QUIT"}


def commands(lab: Lab) -> list[str]:
    return [entry.text for entry in lab.log.entries if entry.kind == "command"]


def recipients(lab: Lab) -> set[str]:
    return {line.removeprefix("RCPT TO:<").removesuffix(">") for line in commands(lab) if line.startswith("RCPT")}


def held(lab: Lab) -> None:
    """Every command is one of seven, whole and alone, and nobody evil was named."""
    sent = commands(lab)
    assert sent
    assert [line for line in sent if not COMMAND.fullmatch(line)] == []
    assert {line.split()[0].partition(":")[0] for line in sent} <= {
        "EHLO",
        "HELO",
        "STARTTLS",
        "MAIL",
        "RCPT",
        "RSET",
        "QUIT",
    }
    assert not [line for line in sent if "eve@" in line or "evil" in line]


async def test_security_31_no_list_can_smuggle_a_command_to_a_mail_server(working: Rest, lab: Lab) -> None:
    task = await working.create([*INJECTED, f"alice@{HOST}"])
    await working.finished(task["id"])
    results = {result["email"]: result for result in await working.all_results(task["id"])}
    assert set(results) == {*INJECTED, f"alice@{HOST}"}
    assert results[f"alice@{HOST}"]["status"] == "exists"
    held(lab)


async def test_no_file_can(working: Rest, lab: Lab) -> None:
    lines = ["email,name", *('"' + address.replace('"', '""') + '",x' for address in INJECTED if "\0" not in address)]
    content = "\n".join([*lines, f"alice@{HOST},y"]).encode()
    made = await working.client.post("/tasks/batch/upload", files={"file": ("list.csv", content)})
    await working.finished(ok(made, 201)["id"])
    held(lab)


async def test_no_single_check_can(sandbox: Rest, lab: Lab) -> None:
    for address in INJECTED:
        ok(await sandbox.client.post("/verify", json={"email": address}))
    assert ok(await sandbox.client.post("/verify", json={"email": f"alice@{HOST}"}))["status"] == "exists"
    held(lab)


async def test_no_private_mail_host_is_asked(sandbox: Rest) -> None:
    hosts = ("[127.0.0.1]", "[10.0.0.1]", "[169.254.169.254]", "[IPv6:::1]", "localhost", "localhost.localdomain")
    found: list[Json] = [ok(await sandbox.client.post("/verify", json={"email": f"a@{host}"})) for host in hosts]
    assert {result["status"] for result in found} <= {"invalid_syntax", "unknown", "not_exists"}
    assert not [step for result in found for step in result["evidence"] if step["stage"] not in {"syntax", "dns"}]
