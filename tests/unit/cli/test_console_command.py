"""`sms-worker console` where the package was installed without what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys
sys.modules["jinja2"] = None
from worker.cli import main
main()
"""


def test_without_its_extra_the_console_says_what_to_install() -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SMS_")}
    told = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", WITHOUT, "console"],
        env=ours | {"SMS_CONSOLE_BROKER": "amqp://localhost/"},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (told.returncode, told.stderr.decode()) == (
        1,
        "no package jinja2: install sms-migration-worker[console]\n",
    )
