"""What is answered where there is nothing to ask."""

import httpx

from schema import root


async def test_an_unknown_path_is_a_json_404(http: httpx.AsyncClient) -> None:
    response = await http.get("/nothing/here")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_wrong_method_is_a_json_405_that_names_the_right_one(http: httpx.AsyncClient) -> None:
    response = await http.delete("/health/live")
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    assert response.json()["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"


async def test_the_schema_is_published_as_text_and_a_known_one_is_not_sent_again(http: httpx.AsyncClient) -> None:
    answer = await http.get("/schema.graphql")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.text == root.schema.as_str().rstrip() + "\n"
    again = await http.get("/schema.graphql", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
