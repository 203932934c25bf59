"""Accounts through GraphQL: signing up, in and out, sessions, passwords and links."""

from typing import Any

import httpx
import pytest

from tests.client import Client

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
ERRORS = "userErrors { code message field }"
TOKENS = "user { id email } tokens { accessToken accessTokenExpiresAt refreshToken }"
SESSIONS = "{ viewer { email sessions { totalCount nodes { id device ipAddress isCurrent } } } }"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"


@pytest.fixture
def anonymous(http: httpx.AsyncClient) -> Client:
    http.headers["user-agent"] = FIREFOX
    return Client(http)


async def done(client: Client, name: str, selection: str, /, **given: Any) -> Any:
    """What a mutation gives back."""
    query = (
        f"mutation($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {{ {selection} {ERRORS} }} }}"
    )
    return (await client.ask(query, input=given))[name]


async def codes(client: Client, name: str, selection: str, /, **given: Any) -> list[str]:
    """The codes of the userErrors of a mutation that gives nothing else."""
    outcome = await done(client, name, selection, **given)
    assert not any(value for field, value in outcome.items() if field != "userErrors"), outcome
    return [error["code"] for error in outcome["userErrors"]]


async def signed_up(client: Client, email: str = EMAIL) -> tuple[Client, Any]:
    outcome = await done(client, "signUp", TOKENS, email=email, password=PASSWORD, name="Ann")
    assert outcome["userErrors"] == []
    return Client(client.http, outcome["tokens"]["accessToken"]), outcome


async def signed_in(client: Client, password: str = PASSWORD) -> tuple[Client, Any]:
    outcome = await done(client, "signIn", TOKENS, email=EMAIL, password=password)
    assert outcome["userErrors"] == []
    return Client(client.http, outcome["tokens"]["accessToken"]), outcome


async def test_a_new_person_signs_up_and_is_the_viewer(anonymous: Client) -> None:
    ann, outcome = await signed_up(anonymous)
    assert outcome["user"]["email"] == EMAIL
    found = (await ann.ask(SESSIONS))["viewer"]
    assert found["email"] == EMAIL
    assert found["sessions"]["totalCount"] == 1
    (session,) = found["sessions"]["nodes"]
    assert (session["device"], session["ipAddress"], session["isCurrent"]) == ("Firefox on Linux", "127.0.0.1", True)


async def test_a_taken_address_and_bad_input_are_user_errors(anonymous: Client) -> None:
    await signed_up(anonymous)
    for given, code, field in (
        ({"email": EMAIL, "password": PASSWORD}, "TAKEN", ["input", "email"]),
        ({"email": "nobody", "password": PASSWORD}, "INVALID", ["input", "email"]),
        ({"email": "", "password": PASSWORD}, "REQUIRED", ["input", "email"]),
        ({"email": "bob@example.com", "password": "short"}, "INVALID", ["input", "password"]),
        ({"email": "bob@example.com", "password": "x" * 129}, "TOO_LARGE", ["input", "password"]),
        ({"email": "bob@example.com", "password": PASSWORD, "name": "x" * 201}, "INVALID", ["input", "name"]),
        ({"email": "bob@example.com", "password": PASSWORD, "name": "B\0b"}, "INVALID", ["input", "name"]),
    ):
        outcome = await done(anonymous, "signUp", TOKENS, **given)
        (error,) = outcome["userErrors"]
        assert (error["code"], error["field"]) == (code, field)
        assert (outcome["user"], outcome["tokens"]) == (None, None)


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(anonymous: Client) -> None:
    await signed_up(anonymous)
    answers = [
        await done(anonymous, "signIn", TOKENS, email=email, password="wrong password")
        for email in (EMAIL, "nobody@example.com")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["userErrors"][0]["code"] == "INVALID_CREDENTIALS"


async def test_a_suspended_account_is_told_so_after_a_right_password(anonymous: Client, raw: Any) -> None:
    ann, _ = await signed_up(anonymous)
    await raw("UPDATE account SET suspended_at = now() RETURNING 1")
    assert await codes(anonymous, "signIn", TOKENS, email=EMAIL, password=PASSWORD) == ["SUSPENDED"]
    response = await ann.post("{ viewer { id } }")
    assert response.status_code == 403


async def test_a_session_is_refreshed_and_a_replay_ends_it(anonymous: Client, raw: Any) -> None:
    ann, first = await signed_up(anonymous)
    token = first["tokens"]["refreshToken"]
    second = await done(anonymous, "refreshSession", TOKENS, refreshToken=token)
    again = await done(anonymous, "refreshSession", TOKENS, refreshToken=token)
    assert again["tokens"]["refreshToken"] == second["tokens"]["refreshToken"] != token
    await raw("UPDATE auth_session SET last_used_at = now() - interval '31 seconds' RETURNING 1")
    assert await codes(anonymous, "refreshSession", TOKENS, refreshToken=token) == ["INVALID_CREDENTIALS"]
    assert (await ann.post("{ viewer { id } }")).status_code == 401


async def test_security_19_a_signed_out_token_is_refused_at_once(anonymous: Client) -> None:
    ann, _ = await signed_up(anonymous)
    phone, _ = await signed_in(anonymous)
    assert (await done(ann, "signOut", "endedSessionCount"))["endedSessionCount"] == 1
    response = await ann.post("{ viewer { id } }")
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert (await phone.ask("{ viewer { email } }"))["viewer"]["email"] == EMAIL
    laptop, _ = await signed_in(anonymous)
    assert (await done(laptop, "signOut", "endedSessionCount", everywhere=True))["endedSessionCount"] == 2
    for gone in (phone, laptop):
        assert (await gone.post("{ viewer { id } }")).status_code == 401


async def test_a_person_ends_one_session_and_nobody_elses(anonymous: Client) -> None:
    ann, _ = await signed_up(anonymous)
    phone, _ = await signed_in(anonymous)
    bob, _ = await signed_up(anonymous, "bob@example.com")
    nodes = (await ann.ask(SESSIONS))["viewer"]["sessions"]["nodes"]
    (other,) = [node["id"] for node in nodes if not node["isCurrent"]]
    query = "query($id: ID!) { node(id: $id) { ... on Session { id isCurrent } } }"
    assert (await ann.ask(query, id=other))["node"] == {"id": other, "isCurrent": False}
    assert (await bob.ask(query, id=other))["node"] is None
    for session_id in (other, "session_x", "task_0000000000000000000000"):
        assert await codes(bob, "revokeSession", "revokedSessionId", sessionId=session_id) == ["NOT_FOUND"]
    assert await done(ann, "revokeSession", "revokedSessionId", sessionId=other) == {
        "revokedSessionId": other,
        "userErrors": [],
    }
    assert (await phone.post("{ viewer { id } }")).status_code == 401
    assert await codes(ann, "revokeSession", "revokedSessionId", sessionId=other) == ["NOT_FOUND"]


async def test_a_changed_password_ends_the_other_sessions(anonymous: Client) -> None:
    ann, _ = await signed_up(anonymous)
    phone, _ = await signed_in(anonymous)
    wrong = {"currentPassword": "wrong password", "newPassword": "another password"}
    assert await codes(ann, "changePassword", "user { id }", **wrong) == ["INVALID_CREDENTIALS"]
    assert await codes(ann, "changePassword", "user { id }", newPassword="another password") == ["REQUIRED"]
    right = {"currentPassword": PASSWORD, "newPassword": "another password"}
    assert (await done(ann, "changePassword", "user { email }", **right))["user"] == {"email": EMAIL}
    assert (await phone.post("{ viewer { id } }")).status_code == 401
    await signed_in(anonymous, "another password")


async def test_asking_for_a_link_tells_nothing_about_who_has_an_account(anonymous: Client) -> None:
    await signed_up(anonymous)
    for name in ("requestPasswordReset", "requestEmailConfirmation"):
        for email in (EMAIL, "nobody@example.com"):
            assert await done(anonymous, name, "email", email=email) == {"email": email, "userErrors": []}
        assert await codes(anonymous, name, "email", email="no address") == ["INVALID"]


async def test_links_that_were_never_sent_do_nothing(anonymous: Client) -> None:
    reset = {"token": "x" * 43, "newPassword": "another password"}
    assert await codes(anonymous, "resetPassword", "user { id }", **reset) == ["INVALID_CREDENTIALS"]
    assert await codes(anonymous, "confirmEmail", TOKENS, token="x" * 43) == ["INVALID_CREDENTIALS"]


async def test_a_key_and_a_stranger_reach_no_session(anonymous: Client) -> None:
    ann, _ = await signed_up(anonymous)
    query = 'mutation { createApiKey(input: {name: "k", scopes: [TASKS_READ]}) { secret } }'
    key = Client(anonymous.http, (await ann.ask(query))["createApiKey"]["secret"])
    assert await key.codes(SESSIONS) == ["FORBIDDEN"]
    for mutation in ("signOut(input: {})", 'changePassword(input: {newPassword: "12345678"})'):
        assert await key.codes(f"mutation {{ {mutation} {{ {ERRORS} }} }}") == ["FORBIDDEN"]
        assert await anonymous.codes(f"mutation {{ {mutation} {{ {ERRORS} }} }}") == ["UNAUTHENTICATED"]


async def test_the_address_is_changed_with_the_password(anonymous: Client) -> None:
    ann, _ = await signed_up(anonymous)
    new = {"newEmail": "ann.new@example.com"}
    assert await codes(ann, "changeEmail", "user { email }", **new, currentPassword="wrong horse") == [
        "INVALID_CREDENTIALS"
    ]
    assert await codes(ann, "changeEmail", "user { email }", newEmail="nobody", currentPassword=PASSWORD) == ["INVALID"]
    outcome = await done(ann, "changeEmail", "user { email }", **new, currentPassword=PASSWORD)
    assert outcome == {"user": {"email": "ann.new@example.com"}, "userErrors": []}
    assert (await ann.ask(SESSIONS))["viewer"]["email"] == "ann.new@example.com"


async def test_an_account_is_deleted_with_password_and_address_and_is_out_at_once(anonymous: Client) -> None:
    ann, made = await signed_up(anonymous)
    gone = "deletedUserId"
    assert await codes(ann, "deleteAccount", gone, confirmEmail=EMAIL) == ["REQUIRED"]
    assert await codes(ann, "deleteAccount", gone, confirmEmail=EMAIL, currentPassword="wrong") == [
        "INVALID_CREDENTIALS"
    ]
    assert await codes(ann, "deleteAccount", gone, confirmEmail="x", currentPassword=PASSWORD) == ["INVALID"]
    outcome = await done(ann, "deleteAccount", gone, confirmEmail=EMAIL, currentPassword=PASSWORD)
    assert outcome == {"deletedUserId": made["user"]["id"], "userErrors": []}
    assert (await ann.post(SESSIONS)).status_code == 401
    assert await codes(anonymous, "signIn", TOKENS, email=EMAIL, password=PASSWORD) == ["INVALID_CREDENTIALS"]
    refresh = made["tokens"]["refreshToken"]
    assert await codes(anonymous, "refreshSession", TOKENS, refreshToken=refresh) == ["INVALID_CREDENTIALS"]
