"""The SBOM names what is installed in an image."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.programs import ran

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT: Final = Path(__file__).parents[3] / "deploy/image/sbom.py"
STATUS: Final = """Package: tini
Status: install ok installed
Architecture: amd64
Version: 1:0.19.0-1+b3
Description: tiny but valid init
 for containers

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
METADATA: Final = """Metadata-Version: 2.4
Name: Some_Package
Version: 2.0
License-Expression: MIT

Version: not this one
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "var/lib/dpkg/status": STATUS,
        "opt/sms-worker/lib/python3.11/site-packages/some_package-2.0.dist-info/METADATA": METADATA,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def bill(root: Path) -> Mapping[str, Any]:
    return json.loads(ran(sys.executable, SCRIPT, root).stdout)


def test_packages_of_debian_and_python_are_listed(root: Path) -> None:
    debian, python = bill(root)["components"]
    assert debian["purl"] == "pkg:deb/debian/tini@1%3A0.19.0-1%2Bb3?arch=amd64"
    assert (debian["name"], debian["version"]) == ("tini", "1:0.19.0-1+b3")
    assert python["purl"] == "pkg:pypi/some-package@2.0"
    assert python["licenses"] == [{"expression": "MIT"}]


def test_the_same_image_gives_the_same_list(root: Path) -> None:
    assert bill(root) == bill(root)
