"""The oracle of the sandbox."""

import pytest

from verifier.engine.evidence import Reason, Status
from verifier.lab.catalogue import CATALOGUE
from verifier.lab.domain import ZONE
from verifier.lab.expectation import expected, is_right


@pytest.mark.parametrize(
    ("address", "status", "reason"),
    [
        ("alice@ok", Status.EXISTS, Reason.ACCEPTED),
        ("nobody@ok", Status.NOT_EXISTS, Reason.NO_SUCH_USER),
        ("alice@catchall", Status.CATCHALL, Reason.ACCEPT_ALL),
        ("alice@blocked", Status.UNKNOWN, Reason.BLOCKED),
        ("alice@full", Status.EXISTS, Reason.MAILBOX_FULL),
        ("alice@nxdomain", Status.NOT_EXISTS, Reason.NO_DOMAIN),
        ("alice@nullmx", Status.NOT_EXISTS, Reason.NULL_MX),
        ("alice@servfail", Status.UNKNOWN, Reason.DNS_FAILURE),
        ("alice@greylisted", Status.EXISTS, Reason.ACCEPTED),
        ("jürgen@utf8", Status.EXISTS, Reason.ACCEPTED),
        ("jürgen@postfix", Status.UNKNOWN, Reason.EAI_UNSUPPORTED),
        ("alice@bücher", Status.EXISTS, Reason.ACCEPTED),
        (" alice@OK", Status.EXISTS, Reason.ACCEPTED),
        ("alice@never-heard-of", Status.NOT_EXISTS, Reason.NO_DOMAIN),
        ("alice@ok.mx", Status.EXISTS, Reason.ACCEPTED),
        ("alice@refused.mx", Status.UNKNOWN, Reason.NO_CONNECTION),
        ("alice@backuponly-2.mx", Status.CATCHALL, Reason.ACCEPT_ALL),
        ("alice@bestforeign-1.mx", Status.NOT_EXISTS, Reason.NO_SUCH_USER),
        ("a..b@ok", Status.INVALID_SYNTAX, Reason.SYNTAX),
        ("alice ok", Status.INVALID_SYNTAX, Reason.SYNTAX),
    ],
)
def test_the_sandbox_has_fixed_outcomes(address: str, status: Status, reason: Reason) -> None:
    assert expected(f"{address}.{ZONE}") == (status, reason)


def test_where_the_company_decides_two_verdicts_are_right() -> None:
    assert is_right(f"alice@blockslater.{ZONE}", Status.EXISTS, Reason.ACCEPTED)
    assert is_right(f"alice@blockslater.{ZONE}", Status.UNKNOWN, Reason.BLOCKED)
    assert not is_right(f"alice@blockslater.{ZONE}", Status.NOT_EXISTS, Reason.NO_SUCH_USER)
    assert not is_right(f"alice@ok.{ZONE}", Status.UNKNOWN, Reason.BLOCKED)


def test_an_address_elsewhere_has_no_outcome() -> None:
    with pytest.raises(LookupError, match=r"example\.org"):
        expected("alice@example.org")


def test_the_catalogue_has_many_behaviours_with_names_of_their_own() -> None:
    assert len({domain.name for domain in CATALOGUE}) == len(CATALOGUE) >= 110
    assert {domain.known.status for domain in CATALOGUE} == set(Status) - {Status.INVALID_SYNTAX}
    assert all(domain.about.endswith(".") for domain in CATALOGUE)
