"""Shows how far a long run is: one line, written over on a screen, and repeated elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Final

EVERY_S: Final = {True: 0.5, False: 15.0}
"""Seconds between two lines, by whether somebody looks at them."""


class Progress:
    """Says how many of so many are done, how fast, and how long the rest takes.

    Args:
        what: what is counted, in the plural.
        total: how many there are.
        done: how many an earlier run has done.
    """

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self._what = what
        self._total = total
        self._done = self._before = done
        self._began = time.monotonic()
        self._said = 0.0
        self._on_screen = sys.stdout.isatty()
        self.violations = 0

    def add(self, count: int) -> None:
        """Note that so many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= EVERY_S[self._on_screen] or self._done >= self._total:
            self._said = now
            self._say()

    def end(self) -> None:
        """Leave the line."""
        self._say()
        if self._on_screen:
            sys.stdout.write("\n")

    def line(self) -> str:
        """The line."""
        rate = (self._done - self._before) / max(time.monotonic() - self._began, 1e-9)
        left_s = (self._total - self._done) / rate if rate else float("inf")
        left = f"{left_s / 60:.0f} min left" if left_s < 86_400 else "no end in sight"
        share = f"{self._done:,} of {self._total:,} {self._what}"
        return f"{share}, {rate:.0f}/s, {left}, {self.violations} violations"

    def _say(self) -> None:
        line = self.line()
        sys.stdout.write(f"\r{line:<79}" if self._on_screen else f"{line}\n")
        sys.stdout.flush()
