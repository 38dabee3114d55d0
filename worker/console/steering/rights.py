"""Who may open the dialog of a command.

Rules: pure. The worker decides on every command; here only what would be refused in any case is not
offered. An observer may nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from worker.console.steering.descriptions import Description
    from worker.console.viewer import Viewer

_OPERATOR: Final = "operator"


def may_try(viewer: Viewer, description: Description) -> bool:
    """Whether a person may give a command, or may try one whose effect decides."""
    by_effect = viewer.role == _OPERATOR and description.by_effect
    return viewer.may(description.name) or by_effect
