"""An earlier commit of this repository as a folder.

Rules: it is the commit before the newest merge on the way to HEAD, or the one in `COMPAT_BASE`.
Its workers run with this Python and its packages, so what is compared is our source alone.
"""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.programs import ran

ROOT = Path(__file__).parents[2]


def output(*command: str, directory: Path = ROOT) -> str:
    result = ran(*command, directory=directory)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def base() -> str:
    """The commit to compare with."""
    if given := os.environ.get("COMPAT_BASE"):
        return given
    merge = output("git", "rev-list", "--merges", "--first-parent", "--max-count=1", "HEAD")
    return f"{merge or 'HEAD'}^1"


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its source."""
    folder = tmp_path_factory.mktemp("earlier")
    archive = folder.with_suffix(".tar")
    output("git", "archive", f"--output={archive}", base())
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    where = output(sys.executable, "-c", "print(__import__('worker').__file__)", directory=folder)
    assert Path(where).is_relative_to(folder)  # not the source beside this test
    return folder
