"""Reads settings from the files of a folder, as Docker and Kubernetes mount secrets.

Rules:
- A file stands for the variable of its name. What a variable may hold, a file may hold.
- A variable of the environment goes before the file of the same name.
- One line end at the end of a file is no part of the value, because editors and `echo` write one.
- Names that begin with a dot are not read: Kubernetes keeps its own folders under such names.
- A problem names the file and the setting, and shows nothing of what the file holds.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "SMS_SECRETS_DIR"
"""The variable that names the folder."""
MOST_BYTES: Final = 65_536
"""The size of the largest file that is read. No credential is that long."""
_LINE_END: Final = re.compile(r"\r?\n\Z")


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """What was read from the folder.

    Attributes:
        values: the content by file name.
        problems: what could not be read and why, by file name.
    """

    values: Mapping[str, str]
    problems: Mapping[str, str]


def read(environment: Mapping[str, str]) -> SecretFiles:
    """Read the files of the folder that the environment names. No folder is named: no files."""
    folder = next((value for name, value in environment.items() if name.upper() == FOLDER), "")
    if not folder:
        return SecretFiles({}, {})
    values: dict[str, str] = {}
    problems: dict[str, str] = {}
    try:
        files = [each for each in sorted(Path(folder).iterdir()) if not each.name.startswith(".")]
    except OSError as error:
        return SecretFiles({}, {FOLDER: f"{folder}: {error.strerror}"})
    for file in files:
        try:
            values[file.name] = _content(file)
        except OSError as error:
            problems[file.name] = f"{file}: {error.strerror}"
        except ValueError as error:
            problems[file.name] = f"{file}: {error}"
    return SecretFiles(values, problems)


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the environment, and the files whose variable is not set or empty."""
    files = read(environment).values
    given = {name.upper() for name, value in environment.items() if value}
    added = {name: value for name, value in files.items() if name.upper() not in given}
    names = {name.upper() for name in added}
    return {n: value for n, value in environment.items() if n.upper() not in names} | added


def _content(file: Path) -> str:
    if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for its writer
        raise ValueError("expected a file, got something else")
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES} bytes, got more")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("expected text in UTF-8") from None
    return _LINE_END.sub("", text)
