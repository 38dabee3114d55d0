"""The image is made of what the project pins, and its Dockerfile is clean."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.programs import ran, tool

ROOT: Final = Path(__file__).parents[3]
LOCK: Final = (ROOT / "deploy/requirements.lock").read_text(encoding="utf-8")
PINNED: Final = dict(re.findall(r"^([\w-]+)==(\S+) \\$", LOCK, re.MULTILINE))
BUILDS: Final = "setuptools"
STALE: Final = "stale: run `make lock`"


def needed(*given: str) -> set[str]:
    """Names of these requirements and of everything that they need, as it is installed here."""
    names: set[str] = set()
    waiting = [Requirement(each) for each in given]
    while waiting:
        each = waiting.pop()
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        name = canonicalize_name(each.name)
        if name not in names:
            names.add(name)
            waiting += [Requirement(other) for other in requires(name) or ()]
    return names


def test_the_dockerfile_is_clean() -> None:
    result = ran(tool("hadolint"), ROOT / "deploy/Dockerfile")
    assert (result.returncode, result.stdout) == (0, "")


def test_the_lock_has_what_worker_and_console_need_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    console = project["optional-dependencies"]["console"]
    assert set(PINNED) == needed(*project["dependencies"], *console) | {BUILDS}, STALE


def test_the_lock_has_the_versions_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pairs = (each.split("==") for each in lines)
    constraints = {canonicalize_name(name): version for name, version in pairs}
    assert {name: constraints.get(name) for name in PINNED} == PINNED, STALE


def test_the_lock_has_hashes_and_no_addresses() -> None:
    for entry in re.split(r"\n(?=\S)", LOCK.strip()):
        pin, *hashes = entry.split(" \\\n")
        assert re.fullmatch(r"[\w-]+==\S+", pin)
        assert hashes, pin
        assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", each) for each in hashes), pin


def test_each_file_that_the_image_copies_exists() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert [name for name in kept if not (ROOT / name).exists()] == []
    assert "deploy/flags.json" in kept
