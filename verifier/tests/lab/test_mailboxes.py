"""The rule that tells mailboxes from everything else."""

import secrets
import string

import pytest

from verifier.lab import mailboxes


@pytest.mark.parametrize("local", ["alice", "ALICE", "alice+news", '"alice"', "bob", "postmaster", "jürgen"])
def test_some_mailboxes_are_always_there(local: str) -> None:
    assert mailboxes.is_mailbox(local)


@pytest.mark.parametrize(
    "local",
    ["nobody", "no-reply", "no-such-user", "", "maximilianus", "ada.1815", "alphabetic.namesake", "a..b", "jörg"],
)
def test_some_mailboxes_are_never_there(local: str) -> None:
    assert not mailboxes.is_mailbox(local)


def test_about_seven_names_in_ten_are_there() -> None:
    names = [f"{first}.{last}" for first in _WORDS for last in _WORDS]

    share = sum(map(mailboxes.is_mailbox, names)) / len(names)

    assert 0.65 < share < 0.75


def test_a_random_recipient_is_never_there() -> None:
    for alphabet in (string.ascii_lowercase, string.ascii_lowercase + string.digits):
        for _ in range(500):
            assert not mailboxes.is_mailbox("".join(secrets.choice(alphabet) for _ in range(12)))
    assert not mailboxes.is_mailbox(secrets.token_hex(8))


_WORDS = [
    f"{start}{middle}{end}"
    for start in ("a", "be", "da", "lu", "mi")
    for middle in ("na", "ro", "li")
    for end in ("n", "s", "a")
]
