"""`python -m tests.house.sdl` prints the SDL of the schema in the code; CI compares it with schema/schema.graphql."""

import sys

from schema import root


def text() -> str:
    """Return the SDL that the code describes, ending in one newline."""
    return root.schema.as_str().rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
