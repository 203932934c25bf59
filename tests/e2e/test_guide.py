"""The examples of docs/api/guide.md as they stand there, in each language, against the running program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, RunningApp

GUIDE = (ROOT / "docs" / "api" / "guide.md").read_text()
SECONDS = 60
PROGRAMS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "ts": ["node", "--input-type=module", "-e"],
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_examples_of_the_guide_work_as_they_stand(running_app: RunningApp, language: str, tmp_path: Path) -> None:
    program = "".join(re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
    assert program.count("http://127.0.0.1:8000") == 1
    program = program.replace("http://127.0.0.1:8000", running_app.web)
    done = subprocess.run(
        [*PROGRAMS[language], program], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=tmp_path
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert '"errors"' not in said
    for word in ("COMPLETED", "alice@ok.mailverdict.test", "EXISTS", "INVALID_SYNTAX", "cost"):
        assert word in said, f"{word} is not in {said}"
    assert re.search(r"INVALID\b|REQUIRED", said), said
    assert list(tmp_path.iterdir()) == []
