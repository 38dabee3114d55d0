"""Prints the SBOM (CycloneDX 1.6) of an image: `sbom.py ROOT`, the top of its files.

Rules: standard library only. It lists what the image itself says is installed: Debian's packages,
from dpkg's own file, and Python's, from their metadata. The same image gives the same text.
"""

from __future__ import annotations

import json
import sys
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

DPKG_STATUS = "var/lib/dpkg/status"
PYTHON_METADATA = "opt/*/lib/python3*/site-packages/*.dist-info/METADATA"


def components(root: Path) -> Iterator[dict[str, Any]]:
    """Every installed package, Debian's first."""
    for entry in (root / DPKG_STATUS).read_text(encoding="utf-8").split("\n\n"):
        package = HeaderParser().parsestr(entry)
        if package.get("Status") == "install ok installed":
            name, version = package["Package"], package["Version"]
            machine = package["Architecture"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={machine}"
            yield _component(name, version, purl)
    for file in sorted(root.glob(PYTHON_METADATA)):
        package = HeaderParser().parsestr(file.read_text(encoding="utf-8"))
        name, version = package["Name"], package["Version"]
        purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version)}"
        yield _component(name, version, purl, package.get("License-Expression"))


def _component(name: str, version: str, purl: str, terms: str | None = None) -> dict[str, Any]:
    made = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return made | ({"licenses": [{"expression": terms}]} if terms else {})


def bill(root: Path) -> dict[str, Any]:
    """The whole document."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "sms-worker"}},
        "components": list(components(root)),
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1])), sys.stdout, indent=2)
