"""The laws of the house, each with the check that holds it and a way to break it."""

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Break = Callable[[Path], None]


@dataclass(frozen=True)
class Check:
    """A command that CI runs, or a part of it: `name` is how a person would call it."""

    name: str

    def command(self) -> list[str]:
        """Return the arguments that run this check with the packages of the running Python."""
        words = shlex.split(self.name)
        program = Path(sys.executable).parent / words[0]
        return [str(program), *words[1:]] if program.exists() else [sys.executable, *words]


@dataclass(frozen=True)
class Law:
    """One law: how it is broken in a copy of the tree, what notices, and a word that the notice contains."""

    name: str
    check: Check
    expected: str
    break_it: Break


IMPORTS = Check("lint-imports")
LINT = Check("ruff check --output-format concise")
FORMAT = Check("ruff format --check")
TYPES = Check("mypy --strict")
LOCK = Check("scripts/lock --check")
HOUSE = Check("pytest -n 0 -q tests/test_house.py")
PAPERS = Check("pytest -n 0 -q tests/house/test_papers.py")
IMAGE = Check("pytest -n 0 -q tests/house/test_image.py")
SCHEMA = Check("pytest -n 0 -q tests/house/test_schema.py")
BUDGETS = Check("pytest -n 0 -q tests/api/test_tasks.py -k statements")
SETTINGS = Check("pytest -n 0 -q tests/app/test_settings.py")
NEW_TEST = Check("pytest -n 0 -q tests/house -k 'image or broken'")


def add(path: str, text: str) -> Break:
    """Add text at the end of a file; the file is made when it is not there."""

    def break_it(folder: Path) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as stream:
            stream.write(f"\n{text}\n")

    return break_it


def replace(path: str, old: str, new: str) -> Break:
    """Replace the first occurrence of some text; it must be there."""

    def break_it(folder: Path) -> None:
        file = folder / path
        text = file.read_text()
        if old not in text:
            raise LookupError(f"{path} does not contain {old!r}")
        file.write_text(text.replace(old, new, 1))

    return break_it


def both(*breaks: Break) -> Break:
    """Break in several places."""

    def break_it(folder: Path) -> None:
        for one in breaks:
            one(folder)

    return break_it


def foreign_hashes(folder: Path) -> None:
    """Give every package of requirements.lock hashes of something else."""
    file = folder / "requirements.lock"
    file.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", file.read_text()))


def foreign_package(folder: Path) -> None:
    """Install, beside ours, a distribution that ships a package called `schema`."""
    metadata = folder / ".fake" / "schema-0.7.8.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: schema\nVersion: 0.7.8\n")
    (metadata / "top_level.txt").write_text("schema\n")


def long_function(size: int) -> str:
    """Return the text of a function of `size` lines."""
    return "def long() -> int:\n    x = 0\n" + "    x += 1\n" * (size - 3) + "    return x"


IMPORT_LAWS = (
    ("Calls go down", "services/errors.py", "import schema", "services > db BROKEN"),
    (
        "The verifier imports none of us",
        "verifier/engine/evidence.py",
        "import services",
        "it imports none of us BROKEN",
    ),
    ("None of us imports the verifier", "services/errors.py", "import verifier", "none of us imports it BROKEN"),
    ("GraphQL stays in schema and resolvers", "services/errors.py", "import strawberry", "resolvers BROKEN"),
    ("In app, only the view of GraphQL knows it", "app/settings.py", "import strawberry", "knows GraphQL BROKEN"),
    ("SQL stays in db", "resolvers/context.py", "import sqlalchemy", "SQL stays in db BROKEN"),
    ("SQL in a function is seen too", "services/errors.py", "def f():\n    import asyncpg", "SQL stays in db BROKEN"),
    ("The queue stays in db", "services/errors.py", "import pgqueuer", "SQL stays in db BROKEN"),
    (
        "In the verifier, SQL stays in store",
        "verifier/engine/evidence.py",
        "import asyncpg",
        "store and dispatch BROKEN",
    ),
    ("The engine knows no tables", "verifier/engine/evidence.py", "import verifier.store", "tables nor HTTP BROKEN"),
    ("HTTP out stays in services", "resolvers/context.py", "import httpx", "own commands) BROKEN"),
    ("HTTP in stays in app", "services/errors.py", "import starlette", "HTTP in stays in app BROKEN"),
    ("Declarations touch no data", "schema/root.py", "import db.session", "touch no data BROKEN"),
)

TEST = "tests/house/test_broken.py"

LAWS: tuple[Law, ...] = (
    *(Law(name, IMPORTS, expected, add(path, text)) for name, path, text, expected in IMPORT_LAWS),
    Law(
        "No circles inside a folder",
        IMPORTS,
        "No circles inside a folder BROKEN",
        both(
            add("services/circle_a.py", "import services.circle_b"),
            add("services/circle_b.py", "import services.circle_a"),
        ),
    ),
    Law("One reader of the environment", LINT, "TID251", add("services/errors.py", 'import os\nX = os.environ["X"]')),
    Law("No relative imports", LINT, "TID252", add("services/errors.py", "from . import actor")),
    Law("A module says what it is for", LINT, "D100", add("services/quiet.py", "X = 1")),
    Law("No blind except", LINT, "BLE001", add("services/quiet.py", "try:\n    X = 1\nexcept Exception:\n    X = 2")),
    Law("Times are aware", LINT, "DTZ", add("services/quiet.py", "import datetime\nX = datetime.datetime.now()")),
    Law("The formatter decides", FORMAT, "services/quiet.py", add("services/quiet.py", "X = {  'a':1 }")),
    Law("Every function is typed", TYPES, "no-untyped-def", add("services/quiet.py", "def f(x):\n    return x")),
    Law("Types agree", TYPES, "assignment", add("services/quiet.py", 'X: int = "one"')),
    Law(
        "A ReadSession cannot write",
        TYPES,
        "arg-type",
        add(
            "services/quiet.py",
            "from db import session\n\n\nasync def write(s: session.Session) -> None: ...\n\n\n"
            "async def read(s: session.ReadSession) -> None:\n    await write(s)",
        ),
    ),
    Law(
        "Versions are exact",
        LOCK,
        "requirements.lock",
        replace("requirements.lock", "aiodataloader==", "aiodataloader==9."),
    ),
    Law("Hashes are the registry's", LOCK, "no hash", foreign_hashes),
    Law(
        "A new dependency is locked",
        LOCK,
        "requirements.lock differs: iniconfig",
        replace("pyproject.toml", '    "aiodataloader",\n', '    "aiodataloader",\n    "iniconfig",\n'),
    ),
    Law("No package is called like ours", HOUSE, "ships_a_package_named", foreign_package),
    Law("A file ends at 400 lines", HOUSE, "short_enough_to_be_read", add("services/errors.py", "X = 1\n" * 400)),
    Law("A file of tests too", HOUSE, "short_enough_to_be_read", add("tests/conftest.py", "X = 1\n" * 400)),
    Law("A function ends at 60 lines", HOUSE, "short_enough_to_be_seen", add("services/errors.py", long_function(61))),
    Law("A module is named for what it holds", HOUSE, "named_for_what", add("services/utils.py", '"""Things."""')),
    Law("Nothing is unfinished", HOUSE, "left_unfinished", add("services/errors.py", "# TO" + "DO: later")),
    Law("No test is skipped", HOUSE, "is_skipped", add(TEST, "import pytest\npytest." + "skip('later')")),
    Law("No mocks", HOUSE, "is_mocked", add(TEST, "from unittest" + ".mock import Mock")),
    Law("No registry's host", HOUSE, "host_of_a_registry", add("README.md", "See pypi" + ".org.")),
    Law("No machine's path", HOUSE, "path_of_somebodys", add("README.md", "It is in /ho" + "me/somebody/here.")),
    Law("A noqa has its reason", HOUSE, "told_to_pass_over", add("services/errors.py", "X = 1  # no" + "qa: E501")),
    Law(
        "An ignored type has its reason",
        HOUSE,
        "told_to_pass_over",
        add("services/errors.py", 'X: int = ""  # type: ' + "ignore[assignment]"),
    ),
    Law(
        "The reason of one is not that of another",
        HOUSE,
        "told_to_pass_over",
        add("services/errors.py", 'X: int = ""  # type: ' + "ignore[assignment]  # no" + "qa: S105 - a word"),
    ),
    Law("No file is passed over", HOUSE, "told_to_pass_over", add("services/errors.py", "# ru" + "ff: no" + "qa")),
    Law(
        "A rule switched off has its reason",
        HOUSE,
        "switched_off",
        replace("pyproject.toml", '    "COM812",', '    "E501",\n    "COM812",'),
    ),
    Law(
        "An import contract has a name",
        HOUSE,
        "contract_has_a_name",
        replace("pyproject.toml", 'name = "SQL stays in db"', 'name = ""'),
    ),
    Law(
        "A dependency has its reason",
        HOUSE,
        "line_in_the_decision",
        replace("pyproject.toml", '    "aiodataloader",\n', '    "aiodataloader",\n    "six",\n'),
    ),
    Law("Links lead somewhere", PAPERS, "leads_somewhere", add("README.md", "[gone](docs/gone.md)")),
    Law("Links to headings too", PAPERS, "leads_somewhere", add("README.md", "[gone](README.md#gone-away)")),
    Law(
        "Papers name files that are there", PAPERS, "paper_names_is_there", add("README.md", "See `docs/" + "gone.md`.")
    ),
    Law(
        "The security page names the tests that hold it",
        PAPERS,
        "security_page",
        replace("docs/security.md", "`tests/services/test_exports.py`", "`tests/services/test_files.py`"),
    ),
    Law("Papers name commands that are", PAPERS, "paper_names_is_one", add("README.md", "`uv run -m app " + "dance`")),
    Law("The README's commands", PAPERS, "commands_that_are", replace("README.md", "uv run pytest", "make test")),
    Law("CI runs the README's tests", PAPERS, "ci_runs_the_tests", replace(".ci/run", "uv run pytest", "uv run true")),
    Law("CI runs every check", PAPERS, "ci_runs_every_check", replace(".ci/run", 'step "types"', ': "types"')),
    Law(
        "A decision has five parts",
        PAPERS,
        "five_parts",
        replace("docs/decisions/0001-an-application-not-a-wheel.md", "## Alternatives", "## Others"),
    ),
    Law("The image copies what is there", IMAGE, "is_there", replace("Dockerfile", "COPY app/", "COPY apps/")),
    Law("The image holds every package", IMAGE, "every_package", replace("Dockerfile", "COPY db/ db/\n", "")),
    Law("The image checks hashes", IMAGE, "what_is_locked", replace("Dockerfile", " --require-hashes", "")),
    Law("The image has a plain user", IMAGE, "plain_user", replace("Dockerfile", "USER mailverdict\n", "")),
    Law(
        "The example holds every setting",
        SETTINGS,
        "every_setting",
        replace(".env.example", "\nDATA_DIR=", "\n# DATA_DIR="),
    ),
    Law(
        "The example holds the defaults",
        SETTINGS,
        "holds_the_defaults",
        replace(".env.example", "PORT=8000", "PORT=8001"),
    ),
    Law(
        "Warnings are errors",
        NEW_TEST,
        "UserWarning",
        add(TEST, "import warnings\n\ndef test_w() -> None:\n    warnings.warn('w')"),
    ),
    Law(
        "No sockets but loopback",
        NEW_TEST,
        "192.0.2.1",
        add(
            TEST,
            "import socket\n\ndef test_out() -> None:\n    socket.create_connection(('192.0.2.1', 25), timeout=1)",
        ),
    ),
    Law(
        "The SDL is committed",
        SCHEMA,
        "committed_sdl",
        replace("schema/schema.graphql", "type Query", "type Query @deprecated"),
    ),
    Law(
        "The SDL is what the code says",
        SCHEMA,
        "committed_sdl",
        replace("schema/pages.py", "More items follow this page.", "More follow."),
    ),
    Law(
        "What was released is kept",
        SCHEMA,
        "nothing_that_was_released",
        replace("schema/schema.graphql", "  viewer: User\n", "  watcher: User\n"),
    ),
    Law(
        "A field is described",
        SCHEMA,
        "everything_in_the_sdl",
        replace("schema/pages.py", "More items follow this page.", ""),
    ),
    Law(
        "An argument is described",
        SCHEMA,
        "everything_in_the_sdl",
        replace("schema/pages.py", "Return the items after this cursor.", ""),
    ),
    Law(
        "A type says which row it shows",
        SCHEMA,
        "which_row",
        both(
            replace("schema/pages.py", "@picture(pages.PageInfo, ", "@strawberry.type(description="),
            replace("schema/pages.py", "from resolvers import", "import strawberry\n\nfrom resolvers import"),
        ),
    ),
    Law(
        "A plain field is on its row",
        SCHEMA,
        "is_on_its_row",
        replace("schema/pages.py", "    has_next_page:", '    colour: str = plain("X.")\n    has_next_page:'),
    ),
    Law(
        "A plain field is null where the row is",
        SCHEMA,
        "may_be_null",
        replace("schema/pages.py", "start_cursor: str | None", "start_cursor: str"),
    ),
    Law(
        "A root field asks for a scope",
        SCHEMA,
        "asks_for_a_scope",
        replace("schema/root.py", "        ApiKeyScope.TASKS_READ,", "        PUBLIC,"),
    ),
    Law(
        "A guard refuses first",
        SCHEMA,
        "refuses_before",
        replace("schema/field.py", "        _guard(info, needs)\n", ""),
    ),
    Law(
        "A list costs the same for 1 and 20",
        BUDGETS,
        "as_many_statements",
        replace(
            "resolvers/accounts.py",
            "    return await info.context.load.account.load(root.account_id)",
            "    from db.queries import accounts\n\n"
            "    async with info.context.parts.db.read() as session:\n"
            "        return (await accounts.by_ids(session, [root.account_id]))[root.account_id]",
        ),
    ),
)
