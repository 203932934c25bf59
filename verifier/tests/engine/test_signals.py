"""Signals, suggestions and the score."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.engine import lists, score, signals, suggest
from verifier.engine.evidence import Reason, Status
from verifier.engine.signals import Signals
from verifier.engine.syntax import Address


@pytest.mark.parametrize(
    "local",
    [
        *("info", "Postmaster", "sales2", "support+de", "no-reply", "abuse", "hostmaster", "noc", "uucp"),
        *("support-team", "sales.de", "info_2", "sales-uk+web", "office.fr", "contact-hr"),
    ],
)
def test_a_role_is_seen(local: str) -> None:
    assert signals.read(Address(local, "example.com")).role_based


@pytest.mark.parametrize(
    "local", ["alice", "john.smith", "informatics.bob", "+", "123456789", "sales.johnson", "bob.info", "de", "infobob"]
)
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
        ("gmaul.com", Reason.NULL_MX, "a@gmail.com"),
    ],
)
def test_a_slip_is_mended_only_where_there_is_cause(domain: str, reason: Reason, meant: str | None) -> None:
    assert suggest.suggest(Address("a", domain), reason) == meant


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("gmsil.com", "gmail.com"),
        ("gmail.vom", "gmail.com"),
        ("hotmail.cmo", "hotmail.com"),
        ("yahhoo.com", "yahoo.com"),
        ("yhaoo.com", "yahoo.com"),
        ("outllok.com", "outlook.com"),
        ("outloook.con", "outlook.com"),
        ("protonmial.con", "protonmail.com"),
        ("t-onlime.de", "t-online.de"),
        ("t-online.df", "t-online.de"),
        ("wannado.fr", "wanadoo.fr"),
        ("seynam.cz", "seznam.cz"),
        ("gmx.dr", "gmx.de"),
        ("company.com", None),
        ("mailer.org", None),
        ("hello.com", None),
        ("qx.io", None),
    ],
)
def test_the_nearest_provider_is_meant_if_it_is_near(domain: str, meant: str | None) -> None:
    assert suggest.nearest(domain) == meant


@pytest.mark.parametrize(
    ("typed", "cost"),
    [
        ("gmail", 0.0),
        ("gmial", 1.0),  # swapped
        ("gmal", 1.0),  # one too few
        ("gmaiil", 0.5),  # doubled
        ("gmaul", 0.5),  # u is beside i
        ("gmaxl", 1.0),  # x is not
        ("gmlia", 2.0),
        ("hmsil", 1.0),  # two neighbours
        ("", 5.0),
    ],
)
def test_what_a_slip_costs(typed: str, cost: float) -> None:
    assert suggest.distance(typed, "gmail") == cost


_short = st.text("abcyz.", max_size=7)


@given(_short, _short)
def test_a_distance_is_none_only_between_equals_and_the_same_there_and_back(a: str, b: str) -> None:
    assert (suggest.distance(a, b) == 0) == (a == b)
    assert suggest.distance(a, b) == suggest.distance(b, a)
    assert suggest.distance(a, b) <= max(len(a), len(b)) * 2


@given(_short, _short, st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]))
def test_a_distance_within_the_bound_is_exact_and_any_other_is_beyond_it(a: str, b: str, most: float) -> None:
    exact, bounded = suggest.distance(a, b), suggest.distance(a, b, most=most)
    assert bounded == exact or min(bounded, exact) > most


def test_every_listed_slip_means_a_known_provider() -> None:
    known = set(lists.known_providers())
    assert len(known) >= 200
    assert {meant for meant in lists.typos().values() if meant not in known} == set()
    assert not known & set(lists.typos())


def test_a_sub_address_has_a_root() -> None:
    assert [signals.root(local) for local in ("Alice+news", "alice", "+odd", "a+b+c")] == [
        "alice",
        "alice",
        "+odd",
        "a",
    ]


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
