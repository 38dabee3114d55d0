"""The image that `make image` has built, and a way to run it without an engine.

Rules: a container is what bubblewrap makes of the image's own files and settings: a read-only root,
no place to write, no capabilities, no rights to gain, its own processes, the user of the image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.programs import ran

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

IMAGE = "localhost/sms-worker"


def output(*command: str) -> str:
    result = ran(*command)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@dataclass(frozen=True)
class Image:
    """A built image: its files, and what it says of itself."""

    root: Path
    settings: Mapping[str, Any]

    def command(self, *program: str, **environment: str) -> list[str]:
        """How `program` is run in a container of this image."""
        user, _, group = self.settings["User"].partition(":")
        given = dict(each.split("=", 1) for each in self.settings["Env"]) | environment
        return [
            *("bwrap", "--unshare-all", "--share-net", "--as-pid-1", "--die-with-parent"),
            *("--ro-bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"),
            *("--uid", user, "--gid", group, "--cap-drop", "ALL", "--clearenv", "--chdir", "/"),
            *(part for name, value in given.items() for part in ("--setenv", name, value)),
            *program,
        ]

    def run(self, *program: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return ran(*self.command(*program, **environment))

    @property
    def entrypoint(self) -> list[str]:
        return list(self.settings["Entrypoint"])

    @property
    def healthcheck(self) -> list[str]:
        kind, *command = self.settings["Healthcheck"]["Test"]
        assert kind == "CMD"
        return command


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image, mounted."""
    shown = json.loads(output("buildah", "inspect", "--type", "image", IMAGE))
    container = output("buildah", "from", IMAGE)
    try:
        yield Image(Path(output("buildah", "mount", container)), shown["Docker"]["config"])
    finally:
        output("buildah", "rm", container)
