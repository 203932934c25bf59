"""STARTTLS offered, demanded and broken."""

import ssl

import pytest

from verifier.engine.evidence import Stage
from verifier.tests.engine.asking import ALICE, EXISTS, GONE, NO_PIPELINING, check, only, verdicts
from verifier.tests.engine.servers import MailHost, Names, Talk

OFFERED = "250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS"


async def test_tls_is_used_where_it_is_offered(names: Names, certificate: ssl.SSLContext) -> None:
    host = MailHost(ALICE, ehlo=OFFERED, ehlo_encrypted=NO_PIPELINING, tls=certificate)
    found = await check(names, [host], "alice@a.test")
    assert only(found) == EXISTS
    assert host.talks[0].is_encrypted
    assert host.said("EHLO") == 2
    assert Stage.STARTTLS in {each.stage for each in found["alice@a.test"].evidence}


@pytest.mark.parametrize("ehlo", [NO_PIPELINING, "250-mx.example\r\n250 PIPELINING"])
@pytest.mark.parametrize("stage", ["mail", "rcpt"])
async def test_tls_is_used_where_it_is_demanded(
    names: Names, certificate: ssl.SSLContext, ehlo: str, stage: str
) -> None:
    demand = "530 5.7.0 Must issue a STARTTLS command first"

    async def rcpt(talk: Talk, path: str) -> str:
        return demand if stage == "rcpt" and not talk.is_encrypted else host.verdict(path)

    def mail(talk: Talk, path: str) -> str:
        return demand if stage == "mail" and not talk.is_encrypted else "250 ok"

    host = MailHost(ALICE, ehlo=ehlo, tls=certificate, mail=mail, rcpt=rcpt)
    found = await check(names, [host], "alice@a.test", "bob@a.test")
    assert verdicts(found) == {"alice@a.test": EXISTS, "bob@a.test": GONE}


@pytest.mark.parametrize("starttls", ["454 TLS not available", "220 go ahead"])
async def test_where_tls_does_not_work_the_plain_text_does(names: Names, starttls: str) -> None:
    host = MailHost(ALICE, ehlo=OFFERED, starttls=starttls)
    assert only(await check(names, [host], "alice@a.test")) == EXISTS
