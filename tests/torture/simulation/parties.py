"""The names of the providers in every history."""

from __future__ import annotations

from typing import Final

TARGET: Final = "africastalking"
LEGACY: Final = "legacy"
PROVIDERS: Final = (TARGET, LEGACY)
