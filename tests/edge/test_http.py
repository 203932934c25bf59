"""GraphQL over HTTP: methods, media types, statuses and who may come in, against a running server."""

import datetime as dt
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.edge import small

MODERN = {"accept": "application/graphql-response+json"}
GOOD = {"authorization": "Bearer good"}


def only_error(response: httpx.Response) -> dict[str, str]:
    """Give the extensions of the only error of a refusal, which never holds data."""
    answer = response.json()
    assert "data" not in answer
    assert answer["errors"][0]["message"]
    extensions: dict[str, str] = answer["errors"][0]["extensions"]
    assert extensions["requestId"] == response.headers["x-request-id"]
    return extensions


async def test_a_query_is_answered_with_its_cost(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ hello items(first: 2) { name } }"})
    assert response.status_code == 200
    assert response.json() == {
        "data": {"hello": "hello you", "items": [{"name": "0"}, {"name": "1"}]},
        "extensions": {"cost": {"requested": 2, "maximum": 5000}},
    }
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["vary"] == "Accept"


async def test_a_query_may_come_by_get_with_variables(client: httpx.AsyncClient) -> None:
    parameters = {"query": "query Q($n: String!) { hello(name: $n) }", "variables": '{"n": "bo"}', "operationName": "Q"}
    response = await client.get("/graphql", params=parameters, headers=MODERN)
    assert response.json()["data"] == {"hello": "hello bo"}
    assert response.headers["content-type"] == "application/graphql-response+json; charset=utf-8"


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query Q($n: String!) { hello(name: $n) }"},
        {"query": "query Q($n: String!) { hello(name: $n) }", "variables": {"n": 5}},
    ],
)
async def test_what_cannot_run_is_400_in_the_new_media_type_and_200_in_the_old(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    modern = await client.post("/graphql", json=body, headers=MODERN)
    assert modern.status_code == 400
    assert "data" not in modern.json()
    old = await client.post("/graphql", json=body)
    assert old.status_code == 200
    assert old.json()["errors"][0]["extensions"]["code"]


async def test_a_field_error_is_200_with_partial_data(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ hello missing }"}, headers=MODERN)
    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello you", "missing": None}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405_and_told_what_is_allowed(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert only_error(response)["code"] == "METHOD_NOT_ALLOWED"


async def test_a_mutation_by_get_is_405(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": 'mutation { rename(name: "x") }'})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert only_error(response)["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/application/json",
        "application/json; charset=utf-16",
    ],
)
async def test_a_body_of_another_type_is_415(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post("/graphql", content=b'{"query":"{hello}"}', headers={"content-type": content_type})
    assert response.status_code == 415
    assert only_error(response)["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_a_compressed_body_is_415(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = await client.post("/graphql", content=b"\x1f\x8b", headers=headers)
    assert response.status_code == 415
    assert only_error(response)["code"] == "UNSUPPORTED_MEDIA_TYPE"


async def test_an_accept_that_cannot_be_served_is_406(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{hello}"}, headers={"accept": "image/png"})
    assert response.status_code == 406
    assert only_error(response)["code"] == "NOT_ACCEPTABLE"


async def test_a_subscription_without_a_stream_is_400(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "subscription { count }"})
    assert response.status_code == 400
    assert only_error(response)["code"] == "BAD_REQUEST"


async def test_an_unknown_operation_name_is_400(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "query A { hello }", "operationName": "B"})
    assert response.status_code == 400
    assert only_error(response)["code"] == "OPERATION_RESOLUTION_FAILURE"


async def test_a_persisted_query_is_told_not_to_be_supported(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/graphql", json={"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}
    )
    assert response.status_code == 400
    assert only_error(response)["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"


@pytest.mark.parametrize("headers", [GOOD, {"x-api-key": "good"}])
async def test_credentials_name_the_caller(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post("/graphql", json={"query": "{ whoami }"}, headers=headers)
    assert response.json()["data"] == {"whoami": "ann"}


async def test_without_credentials_the_caller_is_nobody(client: httpx.AsyncClient, guests: small.Guests) -> None:
    response = await client.post("/graphql", json={"query": "{ whoami }"})
    assert response.json()["data"] == {"whoami": None}
    assert guests.asked == 0


@pytest.mark.parametrize("headers", [{"authorization": "Bearer bad"}, {"authorization": ""}, {"x-api-key": "bad"}])
async def test_wrong_credentials_are_401_before_anything_runs(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post("/graphql", json={"query": "{ hello }"}, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert only_error(response)["code"] == "UNAUTHENTICATED"


async def test_a_suspended_account_is_403(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ hello }"}, headers={"authorization": "Bearer suspended"})
    assert response.status_code == 403
    assert only_error(response)["code"] == "FORBIDDEN"


async def test_an_absent_database_is_503_for_who_shows_credentials(
    client: httpx.AsyncClient, guests: small.Guests
) -> None:
    guests.is_away = True
    response = await client.post("/graphql", json={"query": "{ hello }"}, headers=GOOD)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert only_error(response)["code"] == "SERVICE_UNAVAILABLE"


async def test_a_refusal_of_a_long_body_reaches_the_client(client: httpx.AsyncClient) -> None:
    headers = {"authorization": "Bearer bad", "content-type": "multipart/form-data; boundary=x"}
    response = await client.post("/graphql", content=b"x" * 2_000_000, headers=headers)
    assert response.status_code == 401


async def test_the_request_id_of_the_caller_is_kept(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ requestId }"}, headers={"x-request-id": "abc-1"})
    assert response.headers["x-request-id"] == "abc-1"
    assert response.json()["data"] == {"requestId": "abc-1"}


@pytest.mark.parametrize("given", ["a b", "x" * 65, 'a"b', ""])
async def test_an_odd_request_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.post("/graphql", json={"query": "{ requestId }"}, headers={"x-request-id": given})
    assert response.headers.get_list("x-request-id") != [given]
    assert response.json()["data"] == {"requestId": response.headers["x-request-id"]}


async def test_answers_carry_security_headers(client: httpx.AsyncClient) -> None:
    headers = (await client.post("/graphql", json={"query": "{hello}"})).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers


async def test_a_lone_surrogate_is_written_as_an_escape(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ surrogate }"})
    assert response.status_code == 200
    assert b'"\\ud800"' in response.content


async def test_an_account_may_expire_between_two_requests(client: httpx.AsyncClient, guests: small.Guests) -> None:
    guests.by_token["short"] = small.Actor("bo", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    headers = {"authorization": "Bearer short"}
    assert (await client.post("/graphql", json={"query": "{ whoami }"}, headers=headers)).status_code == 200
    del guests.by_token["short"]
    assert (await client.post("/graphql", json={"query": "{ whoami }"}, headers=headers)).status_code == 401


async def test_documents_of_more_than_32_kib_are_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ hello }" + " " * 33_000})
    assert response.status_code == 400
    assert only_error(response)["code"] == "OPERATION_TOO_COMPLEX"


@pytest.mark.parametrize(
    "body",
    [
        b"1",
        b'"x"',
        b"null",
        b"true",
        b"[1]",
        b"[null]",
        b"[]",
        b"",
        b"{",
        b"[" * 100_000,
        b'{"query":"{hello}","variables":{"a":' + b"9" * 5_000 + b"}}",
        b'{"query":"{hello}","variables":{"a":"\\ud800"}}',
        b'{"query":"{h\xffello}"}',
        b'{"query":5}',
        b'{"query":null}',
        b'{"query":""}',
        b'{"query":"{hello}","variables":[1]}',
        b'{"query":"{hello}","operationName":{}}',
        b'{"query":"{hello}","extensions":"x"}',
        json.dumps([{"query": "{hello}"}]).encode(),
    ],
)
async def test_a_malformed_body_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert only_error(response)["code"] == "BAD_REQUEST"


async def test_malformed_variables_in_a_query_string_are_400(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": "{hello}", "variables": "{"})
    assert response.status_code == 400
    assert only_error(response)["code"] == "BAD_REQUEST"


async def test_a_huge_integer_is_the_mistake_of_the_caller(client: httpx.AsyncClient) -> None:
    body = b'{"query":"query Q($n: Int) { items(first: $n) { name } }","variables":{"n":' + b"9" * 40 + b"}}"
    response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("has_length", [True, False])
async def test_a_long_body_is_413(client: httpx.AsyncClient, has_length: bool) -> None:
    content = b'{"query":"{hello}","variables":{"x":"' + b"x" * (3 * 1024 * 1024) + b'"}}'

    async def pieces() -> AsyncIterator[bytes]:
        yield content  # without a length: httpx sends chunks

    response = await client.post(
        "/graphql", content=content if has_length else pieces(), headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert only_error(response)["code"] == "PAYLOAD_TOO_LARGE"
    assert response.headers["connection"] == "close"
