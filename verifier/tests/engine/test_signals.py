"""Signals, suggestions and the score."""

import pytest

from verifier.engine import score, signals, suggest
from verifier.engine.evidence import Reason, Status
from verifier.engine.signals import Signals
from verifier.engine.syntax import Address


@pytest.mark.parametrize("local", ["info", "Postmaster", "sales2", "support+de", "no-reply", "abuse"])
def test_a_role_is_seen(local: str) -> None:
    assert signals.read(Address(local, "example.com")).role_based


@pytest.mark.parametrize("local", ["alice", "john.smith", "informatics.bob", "+", "123456789"])
def test_a_person_is_no_role(local: str) -> None:
    assert not signals.read(Address(local, "example.com")).role_based


def test_a_disposable_domain_is_seen_below_its_own_name_too() -> None:
    assert signals.read(Address("a", "mailinator.com")).disposable
    assert signals.read(Address("a", "x.mailinator.com")).disposable
    assert not signals.read(Address("a", "example.com")).disposable


def test_a_free_provider_is_seen() -> None:
    assert signals.read(Address("a", "gmail.com")).free_provider
    assert not signals.read(Address("a", "example.com")).free_provider


@pytest.mark.parametrize(
    ("domain", "reason", "meant"),
    [
        ("gmial.com", Reason.ACCEPTED, "a@gmail.com"),
        ("gmaul.com", Reason.NO_DOMAIN, "a@gmail.com"),
        ("gmaul.com", Reason.ACCEPTED, None),
        ("hotmaill.com", Reason.NO_MAIL_HOST, "a@hotmail.com"),
        ("outlook.com", Reason.NO_DOMAIN, None),
        ("example.com", Reason.NO_DOMAIN, None),
        ("gmaul.com", Reason.DNS_FAILURE, None),
    ],
)
def test_a_slip_is_mended_only_where_there_is_cause(domain: str, reason: Reason, meant: str | None) -> None:
    assert suggest.suggest(Address("a", domain), reason) == meant


@pytest.mark.parametrize(
    ("typed", "is_slip"),
    [
        ("gmail", False),
        ("gmial", True),
        ("gmal", True),
        ("gmaiil", True),
        ("gmaul", True),
        ("gmlia", False),
        ("g", False),
    ],
)
def test_one_slip_is_one_letter(typed: str, is_slip: bool) -> None:
    assert suggest.is_one_slip(typed, "gmail") is is_slip


def test_a_role_account_is_less_sure_but_not_bad() -> None:
    plain, _ = score.rate(Status.EXISTS, Reason.ACCEPTED, Signals(), has_suggestion=False)
    role, reasons = score.rate(Status.EXISTS, Reason.ACCEPTED, Signals(role_based=True), has_suggestion=False)
    assert 80 <= role < plain <= 100
    assert reasons == ("exists:+95", "role_based:-10")


def test_what_is_gone_scores_nothing_and_no_score_leaves_its_bounds() -> None:
    flags = Signals(role_based=True, disposable=True, free_provider=True)
    for status in Status:
        for reason in Reason:
            points, _ = score.rate(status, reason, flags, has_suggestion=True)
            assert 0 <= points <= 100
    assert score.rate(Status.NOT_EXISTS, Reason.NO_SUCH_USER, Signals(), has_suggestion=False)[0] == 0
