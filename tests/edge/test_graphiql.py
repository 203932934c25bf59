"""GraphiQL: from our own files, for browsers only, under a strict policy."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.graphql import ide
from tests.edge import small

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
ROOT = Path(ide.FILES).parent.parent


async def test_a_browser_gets_the_page_and_every_file_it_names(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql", headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(names) == 7
    for name in names:
        file = await client.get(name)
        assert file.status_code == 200, name
        is_vendored = "/vendor/" in name
        assert file.headers["cache-control"] == ("public, max-age=31536000, immutable" if is_vendored else "no-cache")


async def test_the_page_has_no_inline_script_and_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/graphql", headers=BROWSER)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
    assert not re.search(r"(src|href)=\"(?!/graphiql/)", page.text)
    assert not re.search(r"\son\w+=", page.text)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html;q=0.9"])
async def test_programs_do_not_get_the_page(client: httpx.AsyncClient, accept: str) -> None:
    response = await client.get("/graphql", headers={"accept": accept})
    assert response.status_code == 400


async def test_a_browser_that_sends_a_query_gets_its_answer(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": "{ hello }"}, headers=BROWSER)
    assert response.json()["data"] == {"hello": "hello you"}


async def test_nothing_of_it_is_served_where_it_is_off(guests: small.Guests) -> None:
    async with (
        small.serving(small.application(guests, has_ide=False)) as url,
        httpx.AsyncClient(base_url=url.removesuffix("/graphql"), trust_env=False) as client,
    ):
        assert (await client.get("/graphql", headers=BROWSER)).status_code == 400
        assert (await client.get("/graphiql/ide.js")).status_code == 404


def test_the_vendored_files_are_those_that_were_noted() -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "vendor-graphiql", "--check"], check=True)
