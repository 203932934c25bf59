"""What a developer reads once everything is up: where GraphiQL is, who they are, and one query to paste."""

import sys

from app.instance import Ready

QUERY = """\
mutation {
  createTask(input: {emails: ["alice@ok.mailverdict.test", "nobody@ok.mailverdict.test", "not an address"]}) {
    task { id status emailCount }
    userErrors { code message field }
  }
}"""


def ready(facts: Ready, account: str) -> None:
    """Print the addresses, the development account with its token, and the query."""
    print(
        f"""
mailverdict is ready. Ctrl-C stops it.

  GraphiQL   {facts.graphql}
  verifier   {facts.verifier}
  account    {account}
  header     {{"Authorization": "Bearer {facts.token}"}}

Paste the header under "Headers" in GraphiQL, and this as a query:

{_indented(QUERY)}

A file of addresses: uv run -m app verify examples/contacts.csv -o results.csv
""",
        flush=True,
    )


def stopping() -> None:
    """Say that the stop has been heard."""
    print("stopping …", file=sys.stderr, flush=True)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
