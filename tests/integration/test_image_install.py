"""The steps that install the worker into its image, run for real from the hashes of the lock."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.complete_settings import GOOD
from tests.support.programs import ran

ROOT: Final = Path(__file__).parents[2]
IGNORED: Final = shutil.ignore_patterns("__pycache__", "*.egg-info")


def source(directory: Path) -> Path:
    """What `.dockerignore` lets into the image."""
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        name = line.removeprefix("!")
        if name == line:
            continue
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=IGNORED)
        else:
            shutil.copy(ROOT / name, directory / name)
    return directory


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of the image."""
    at = tmp_path_factory.mktemp("image")
    result = ran(
        "deploy/image/install.sh",
        at / "environment",
        directory=source(at / "source"),
        environment={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
    )
    assert result.returncode == 0, result.stderr
    return at / "environment"


def names(installed: Path) -> set[str]:
    (packages,) = installed.glob("lib/python3*/site-packages")
    return {each.name for each in packages.iterdir()}


def test_nothing_that_builds_is_left(installed: Path) -> None:
    assert names(installed) & {"setuptools", "pip", "pkg_resources"} == set()
    assert "phonenumbers" in names(installed)


def test_the_worker_runs_from_it(installed: Path, tmp_path: Path) -> None:
    result = ran(installed / "bin/sms-worker", "check-config", directory=tmp_path, environment=GOOD)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("configuration is valid\n")


def test_the_places_that_are_left_out_are_asked_for_by_nobody(installed: Path) -> None:
    (phonenumbers,) = installed.glob("lib/python3*/site-packages/phonenumbers")
    assert not (phonenumbers / "geodata").exists()
    used = [
        path
        for path in (ROOT / "worker").rglob("*.py")
        if "phonenumbers.geocoder" in path.read_text() or "phonenumbers.carrier" in path.read_text()
    ]
    assert used == []
