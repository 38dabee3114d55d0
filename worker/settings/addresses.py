"""Finds the problems of an address in the settings, in words that show nothing of it.

Rules:
- Pure, and stricter than the libraries. They read a mistyped address as something else: a `#` or
  `/` in a password ends the address there, a bad number becomes 0.
- Every problem says what was expected. It shows nothing of the address except names of options.
  These are shown only if no `@` follows, because otherwise they may be a part of a password.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

AMQP: Final = ("amqp://", "amqps://")
MONGO: Final = ("mongodb://", "mongodb+srv://")
HTTP: Final = ("http://", "https://")

LOGIN: Final = (
    "expected the user name and the password to be percent-encoded "
    "(# as %23, / as %2F, ? as %3F, @ as %40, : as %3A, % as %25)"
)
_HOST: Final = "expected a host name or an IP address (IPv6 in brackets)"
_PORT: Final = "expected a port from 1 to 65535"
_ADDRESS: Final = re.compile(r"([^/?#]*)(/[^?#]*)?(\?[^#]*)?(#.*)?", re.DOTALL)
_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(.*))?", re.DOTALL)
_LABEL: Final = re.compile(r"\w([\w-]{0,61}\w)?")
_LEGACY_IP: Final = re.compile(r"(\d+|0[xX][0-9A-Fa-f]*)(\.(\d+|0[xX][0-9A-Fa-f]*))*\.?", re.ASCII)
"""Forms that some libraries read as an IPv4 address, each as a different one."""
_DOTS: Final = re.compile(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\]|%2f|%5c|$)", re.IGNORECASE)
_HIGHEST_PORT: Final = 65_535
_LONGEST_HOST: Final = 253

_NUMBER: Final = re.compile(r"\d{1,5}")
_FILE: Final = re.compile(r".+")
AMQP_OPTIONS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "auth": (re.compile(r"plain|external", re.IGNORECASE), "plain or external"),
    "cadata": (re.compile(r"[A-Za-z0-9+/]+={0,2}"), "a certificate in base64"),
    "cafile": (_FILE, "a file"),
    "capath": (_FILE, "a folder"),
    "certfile": (_FILE, "a file"),
    "happy_eyeballs_delay": (re.compile(r"\d{1,3}(\.\d+)?"), "seconds"),
    "heartbeat": (_NUMBER, "whole seconds"),
    "interleave": (_NUMBER, "a whole number"),
    "keyfile": (_FILE, "a file"),
    "name": (_FILE, "a name"),
    "no_verify_ssl": (re.compile("0"), "0: certificates are always verified"),
    "timeout": (_NUMBER, "whole seconds"),
}
"""The options that the AMQP library reads. It ignores all others."""
UNVERIFIED: Final = frozenset(
    {"tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames"}
)
"""Options of the database driver, in lower case, that switch the check of certificates off."""
AMQP_FILES: Final = ("cafile", "capath", "certfile", "keyfile")


class Parts(NamedTuple):
    """The parts of an address, as written."""

    login: str | None
    host: str
    path: str
    query: str
    fragment: str


def split(rest: str) -> Parts:
    """Split the text after the scheme into parts. Never fails."""
    match = _ADDRESS.fullmatch(rest)
    authority, path, query, fragment = match.groups("") if match else (rest, "", "", "")
    login, at_sign, host = authority.rpartition("@")
    return Parts(login if at_sign else None, host, path, query[1:], fragment[1:])


def amqp_problems(address: str) -> list[str]:
    """The problems of the address of a broker, which may name several hosts."""
    rest = _after(address, AMQP)
    if isinstance(rest, list):
        return rest
    parts = split(rest)
    ends_early = "@" in parts.path + parts.query or "#" in rest
    login = parts.login or ""
    if ends_early or any(char in login for char in "[]\\") or _is_disguised(login + parts.host):
        return [LOGIN]
    external = "external" in (value.lower() for name, value in pairs(parts.query) if name == "auth")
    return [
        *_login_problems(parts.login, password=not external),
        *_hosts_problems(parts.host),
        *_option_problems(parts.query),
    ]


def mongo_problems(address: str) -> list[str]:
    """The problems of the address of a database. The driver checks its options."""
    rest = _after(address, MONGO)
    if isinstance(rest, list):
        return rest
    parts = split(rest.replace("#", "%23"))  # to the driver, # is a plain character
    behind_login = parts.path + ("" if parts.login is not None else parts.query)
    if "@" in behind_login or "@" in (parts.login or "") or (parts.login or "").count(":") > 1:
        return [LOGIN]
    if "+" in (parts.login or ""):
        return ["expected %2B for a plus sign in the login (or %20, if '+' means a blank)"]
    hosts = [host for host in parts.host.split(",") if not host.endswith(".sock")]
    problems = [problem for host in hosts for problem in _host_problems(host)]
    problems += [
        f"option {name}: expected false or none: certificates are always verified"
        for name, value in pairs(parts.query)
        if name.lower() in UNVERIFIED and value.lower() != "false"
    ]
    return [*_login_problems(parts.login, password=False), *dict.fromkeys(problems)]


def http_problems(address: str) -> list[str]:
    """The problems of a base address: scheme, host, port, perhaps a path, and nothing else."""
    rest = _after(address, HTTP)
    if isinstance(rest, list):
        return rest
    parts = split(rest)
    problems = [] if parts.login is None else ["expected no login in it"]
    problems += _host_problems(parts.host)
    if "//" in parts.path or has_dots(parts.path):
        problems.append("expected a path without empty steps and without '.' and '..'")
    if "?" in rest or "#" in rest:
        problems.append("expected nothing behind the path, got a '?' or a '#'")
    return problems


def has_dots(path: str) -> bool:
    """Whether a step of a path is `.` or `..`. Clients and proxies remove such steps."""
    return _DOTS.search(path) is not None


def where(address: str) -> str:
    """The hosts of an address without problems, which may be shown."""
    return split(address.partition("://")[2]).host


def shown(address: str) -> str:
    """Scheme and hosts of an address without problems; a login is hidden."""
    scheme, _, rest = address.partition("://")
    hidden = "" if split(rest).login is None else "***@"
    return f"{scheme}://{hidden}{where(address)}"


def one_by_one(address: str) -> tuple[str, ...]:
    """The addresses of the single hosts of a broker's address without problems."""
    scheme, _, rest = address.partition("://")
    parts = split(rest)
    login = "" if parts.login is None else f"{parts.login}@"
    behind = rest.removeprefix(login + parts.host)
    return tuple(f"{scheme}://{login}{host}{behind}" for host in parts.host.split(","))


def without_login(address: str) -> str:
    """An address without problems, and without its login."""
    scheme, _, rest = address.partition("://")
    login = split(rest).login
    return address if login is None else f"{scheme}://{rest.removeprefix(f'{login}@')}"


def pairs(query: str) -> list[tuple[str, str]]:
    """The options of an address, as written."""
    return [(name, value) for name, _, value in (each.partition("=") for each in _each(query))]


def nearest(name: str, known: Sequence[str]) -> str:
    """A question that names the most similar known name; empty: none is similar."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return f" (did you mean {by_lower[found[0]]}?)" if found else ""


def _each(query: str) -> list[str]:
    return query.split("&") if query else []


def _after(address: str, schemes: tuple[str, ...]) -> str | list[str]:
    """The text after the scheme, or the problems that make it unreadable."""
    if " " in address or not address.isprintable():
        return ["expected no blanks, line ends or control characters (%20 for a blank)"]
    for scheme in schemes:
        if address.startswith(scheme):
            return address.removeprefix(scheme)
    return [f"expected an address that begins with {' or '.join(schemes)}"]


def _is_disguised(text: str) -> bool:
    """Whether it has characters like a full-width slash, which the library refuses unencoded."""
    plain = text.translate(dict.fromkeys(map(ord, "@:#?")))
    normal = normalize("NFKC", plain)
    return plain != normal and any(char in normal for char in "/?#@:%")


def _login_problems(login: str | None, *, password: bool) -> Iterator[str]:
    if login is None:
        return
    name, _, secret = login.partition(":")
    if not name:
        yield "expected a user name before the password"
    if password and not secret:
        yield "expected a password after the user name"
    if not all(map(_decodes, (name, secret))):
        yield LOGIN


def _decodes(text: str) -> bool:
    """Whether it is unambiguous: its escapes are UTF-8 without control characters."""
    try:
        return unquote_to_bytes(text).decode().isprintable()
    except UnicodeDecodeError:
        return False


def _hosts_problems(listed: str) -> Iterator[str]:
    """The problems of hosts with commas between them; with several hosts, each by its number."""
    hosts = listed.split(",")
    for number, host in enumerate(hosts, 1):
        place = f"host {number}: " if len(hosts) > 1 else ""
        yield from (f"{place}{problem}" for problem in _host_problems(host))
    if len(set(hosts)) < len(hosts):
        yield "expected each host once"


def _host_problems(host: str) -> Iterator[str]:
    found = _HOST_PORT.fullmatch(host)
    name, port = found.groups() if found else ("", None)
    if not _is_host(name):
        yield _HOST
    if port is not None and not _is_port(port):
        yield _PORT


def _is_port(port: str) -> bool:
    return bool(_NUMBER.fullmatch(port)) and port.isascii() and 0 < int(port) <= _HIGHEST_PORT


def _is_host(name: str) -> bool:
    if name.startswith("["):
        return _is_ip(name[1:-1], 6)
    if _LEGACY_IP.fullmatch(name):
        return _is_ip(name, 4)
    labels = name.removesuffix(".").split(".")
    return len(name) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels))


def _is_ip(name: str, version: int) -> bool:
    try:
        return ip_address(name).version == version
    except ValueError:
        return False


def _option_problems(query: str) -> Iterator[str]:
    given = pairs(query)
    for name, value in given:
        shape, expected = AMQP_OPTIONS.get(name, (None, ""))
        if shape is None:
            yield f"expected no option {name!r}{nearest(name, tuple(AMQP_OPTIONS))}"
        elif not shape.fullmatch(unquote_to_bytes(value).decode(errors="replace")):
            yield f"option {name}: expected {expected}"
    if len({name for name, _ in given}) < len(given):
        yield "expected each option once"
