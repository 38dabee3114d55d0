"""Reading the documentation: its files, chapters, examples, commands and references."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
FILES: Final = (
    "README.md",
    "contracts/README.md",
    "worker/README.md",
    "worker/domain/detection/README.md",
    "deploy/README.md",
    "deploy/CAPACITY.md",
    "deploy/RUNBOOK.md",
    "deploy/SECURITY.md",
    "deploy/rabbitmq/README.md",
)
_BLOCK: Final = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^ *```$", re.DOTALL | re.MULTILINE
)
_TYPED: Final = re.compile(r"^(?:\$ |(?=(?:\.venv/bin/)?sms-worker ))(?:\.venv/bin/)?(.+)$")
_INLINE: Final = re.compile(r"`(?:\.venv/bin/)?((?:sms-worker|ctl) [^`]+)`")
_REFERENCE: Final = re.compile(r'([\w/]*README\.md)`?,?\s+\(?"([^"]+)"')
_LINK: Final = re.compile(r"\]\(([^)#\s]*)#?([^)\s]*)\)")


def read(name: str) -> str:
    """The text of a file of the documentation."""
    return (ROOT / name).read_text(encoding="utf-8")


def chapter(name: str, title: str) -> str:
    """What stands below a heading, down to the next one of the same rank or a higher one."""
    text = read(name)
    heading = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    assert heading is not None, f"{name} has no heading {title!r}"
    rest = text[heading.end() :]
    following = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def example(name: str, file: str) -> str:
    """The program that stands below `<!-- example: FILE -->`."""
    shown = re.search(
        rf"<!-- example: {re.escape(file)} -->\n```\w+\n(.*?)^```$",
        read(name),
        re.DOTALL | re.MULTILINE,
    )
    assert shown is not None, f"{name} has no example {file}"
    return shown[1]


def fenced(name: str, kind: str) -> list[str]:
    """The bodies of the fenced blocks of a kind."""
    return [block["body"] for block in _BLOCK.finditer(read(name)) if block["kind"] == kind]


def typed(text: str) -> list[tuple[str, str]]:
    """Command lines of indented blocks, each with the output shown below it."""
    joined = text.replace("\\\n", " ")
    blocks = re.findall(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", joined, re.MULTILINE)
    return [pair for block in blocks for pair in _commands_of(block)]


def _commands_of(block: str) -> Iterator[tuple[str, str]]:
    command, output = "", ""
    for line in block.splitlines():
        found = _TYPED.match(line.strip())
        if found is None:
            output += f"{line.strip()}\n"
            continue
        if command:
            yield command, output
        command, output = " ".join(found[1].split()), ""
    if command:
        yield command, output


def on_servers(name: str) -> list[str]:
    """Command lines of blocks that begin with `# on the servers`."""
    blocks = [body.splitlines() for body in fenced(name, "sh")]
    marked = [lines[1:] for lines in blocks if lines[0].strip() == "# on the servers"]
    return [line.strip() for lines in marked for line in lines]


def missing(shown: str, said: str) -> list[str]:
    """What a document shows of an output and the output lacks; `...` stands for anything."""
    there = comparable(said)
    parts = [part.strip(", ") for part in comparable(shown).split("...")]
    return [part for part in parts if part not in there]


def comparable(text: str) -> str:
    """Without line breaks, and without what differs from run to run: ids, times, waits."""
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "ID", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)? min\b", "SOME min", text)
    return " ".join(text.split())


def inline(text: str) -> list[str]:
    """Command lines in the middle of a sentence or a table; some leave out their arguments."""
    return [" ".join(found.split()) for found in _INLINE.findall(text)]


def words(command: str) -> list[str]:
    """The arguments of a command line, `sms-worker` left out."""
    found = shlex.split(command, comments=True)
    return found[1:] if found[0] == "sms-worker" else found


def headings(text: str) -> list[str]:
    """Every heading."""
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def references(text: str) -> list[tuple[str, str]]:
    """Files of the documentation that a text names together with a heading."""
    return [(file, " ".join(title.split())) for file, title in _REFERENCE.findall(text)]


def links(text: str) -> list[tuple[str, str]]:
    """Files and anchors that a text links to; addresses on the web left out."""
    return [(file, at) for file, at in _LINK.findall(text) if "://" not in file]


def prose(text: str) -> list[str]:
    """Lines that are neither code nor tables."""
    plain = _BLOCK.sub("", text)
    return [line for line in plain.splitlines() if not line.startswith(("|", "    "))]
