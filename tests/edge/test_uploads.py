"""Uploads by the GraphQL multipart request specification."""

import json
import typing

import httpx
import pytest

from tests.edge import small

GUARD = {"x-csrf-guard": "1"}
GOOD = {"authorization": "Bearer good"}
MUTATION = "mutation($file: Upload!) { size(file: $file) }"
OPERATIONS = json.dumps({"query": MUTATION, "variables": {"file": None}})
MAP = json.dumps({"0": ["variables.file"]})
CSV = ("list.csv", b"email\na@example.com\n", "text/csv")

Parts = list[tuple[str, typing.Any]]


def text(value: str) -> tuple[None, str]:
    return (None, value)


def form(operations: str = OPERATIONS, places: str = MAP) -> Parts:
    return [("operations", text(operations)), ("map", text(places)), ("0", CSV)]


@pytest.mark.parametrize(
    "header", ["x-csrf-guard", "apollo-require-preflight", "graphql-require-preflight", "x-api-key"]
)
async def test_a_file_is_uploaded(client: httpx.AsyncClient, header: str) -> None:
    response = await client.post("/graphql", files=form(), headers={header: "good"})
    assert response.json()["data"] == {"size": 20}


async def test_security_26_a_file_that_another_site_could_send_is_403(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", files=form())
    assert response.status_code == 403
    assert response.json()["errors"][0]["extensions"]["code"] == "CSRF_PREVENTED"


async def test_files_are_put_into_nested_input_and_lists(client: httpx.AsyncClient) -> None:
    operations = json.dumps(
        {
            "query": "mutation($input: UploadInput!) { sizes(input: $input) }",
            "variables": {"input": {"file": None, "files": [None, None]}},
        }
    )
    places = json.dumps({"a": ["variables.input.file", "variables.input.files.0"], "b": ["variables.input.files.1"]})
    parts: Parts = [("operations", text(operations)), ("map", text(places)), ("a", CSV), ("b", ("b.csv", b"xy"))]
    response = await client.post("/graphql", files=parts, headers=GUARD)
    assert response.json()["data"]["sizes"][0] == 20
    assert response.json()["data"]["sizes"][2] == 2


async def test_security_28_a_file_up_to_the_cap_is_taken_and_a_longer_one_is_413(client: httpx.AsyncClient) -> None:
    for size, status in ((small.UPLOAD_BYTES_MAX, 200), (small.UPLOAD_BYTES_MAX + 2 * 1024 * 1024, 413)):
        parts = [*form()[:2], ("0", ("big.csv", b"a" * size))]
        response = await client.post("/graphql", files=parts, headers=GOOD)
        assert response.status_code == status


async def test_nobody_uploads_more_than_other_bodies_may_hold_without_credentials(client: httpx.AsyncClient) -> None:
    parts = [*form()[:2], ("0", ("big.csv", b"a" * 2 * 1024 * 1024))]
    response = await client.post("/graphql", files=parts, headers=GUARD)
    assert response.status_code == 413


async def test_a_string_in_place_of_a_file_is_an_error_with_a_code(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": MUTATION, "variables": {"file": "hello"}})
    assert response.json()["errors"][0]["extensions"]["code"] == "INVALID"


LIST = json.dumps({"query": MUTATION, "variables": {"file": []}})
DEEP = json.dumps({"query": MUTATION, "variables": {"file": {"a": None}}})


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(form(places="[1]"), id="map is a list"),
        pytest.param(form(places=json.dumps({"0": ["query.0"]})), id="path into a string"),
        pytest.param(form(places=json.dumps({"0": ["variables.file.0"]})), id="path into null"),
        pytest.param(form(LIST, json.dumps({"0": ["variables.file.9"]})), id="index out of range"),
        pytest.param(form(LIST, json.dumps({"0": ["variables.file.-1"]})), id="negative index"),
        pytest.param(form(DEEP, json.dumps({"0": ["variables.file"]})), id="path to what is not null"),
        pytest.param(form("1"), id="operations is a number"),
        pytest.param(form("null"), id="operations is null"),
        pytest.param(form("[]"), id="operations is a list"),
        pytest.param(form("{"), id="operations is no JSON"),
        pytest.param(form(places="{"), id="map is no JSON"),
        pytest.param(form(places=json.dumps({"0": "variables.file"})), id="path is no list"),
        pytest.param(form(places=json.dumps({"0": [1]})), id="path is a number"),
        pytest.param(form(places=json.dumps({"0": []})), id="no path"),
        pytest.param(form(places=json.dumps({"0": ["variables.nope.deep"]})), id="path is absent"),
        pytest.param(form(places=json.dumps({"0": ["variables"]})), id="path to all variables"),
        pytest.param(form(places="{}"), id="file without a place"),
        pytest.param(form()[:2], id="place without a file"),
        pytest.param(form()[1:], id="no operations"),
        pytest.param([form()[0], form()[2]], id="no map"),
        pytest.param([*form()[:2], ("0", text("just text"))], id="file is text"),
        pytest.param([("operations", CSV), *form()[1:]], id="operations is a file"),
        pytest.param([*form(), *[(f"x{number}", CSV) for number in range(30)]], id="thirty more files"),
    ],
)
async def test_security_28_a_malformed_form_is_400(client: httpx.AsyncClient, parts: Parts) -> None:
    response = await client.post("/graphql", files=parts, headers=GUARD)
    assert response.status_code == 400, response.text
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "content", [b"", b"--x\r\n", b"--x\r\nnonsense", b"garbage", b"--x\r\nContent-Disposition: x\r\n\r\n"]
)
@pytest.mark.parametrize("parameters", ["", "; boundary=x"])
async def test_a_body_that_is_no_form_is_400(client: httpx.AsyncClient, content: bytes, parameters: str) -> None:
    headers = {"content-type": "multipart/form-data" + parameters, **GUARD}
    response = await client.post("/graphql", content=content, headers=headers)
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("kept", [0.4, 0.7, 0.95, 0.99])
async def test_a_form_that_is_cut_off_is_400_and_no_shorter_list(client: httpx.AsyncClient, kept: float) -> None:
    request = client.build_request("POST", "/graphql", files=form(), headers=GUARD)
    whole = await request.aread()
    headers = {"content-type": request.headers["content-type"], **GUARD}
    response = await client.post("/graphql", content=whole[: int(len(whole) * kept)], headers=headers)
    assert response.status_code == 400, response.text
    assert (await client.post("/graphql", content=whole, headers=headers)).status_code == 200
