"""The descriptions of the commands for flags, overrides, providers, backups and lists."""

from __future__ import annotations

from typing import Final

from contracts.control import (
    Ack,
    AddSuppression,
    Backup,
    ClearBranchOverride,
    ClearUserOverride,
    DisableProvider,
    EnableProvider,
    RemoveSuppression,
    ResetBreaker,
    Restore,
    SetBranchOverride,
    SetFlags,
    SetUserOverride,
)
from worker.console.steering.descriptions import Description, Field, Kind, Shape

_PROVIDER: Final = Field("provider", "Provider", Shape.PROVIDER)
_GIVEN_PROVIDER: Final = Field("provider", "Provider", Shape.PROVIDER, filled_in=False)
_USER: Final = Field("user", "User", Shape.USER, hint="As in `userId` of the messages.")
_GIVEN_USER: Final = Field("user", "User", Shape.USER, filled_in=False)
_BRANCH: Final = Field("branch", "Branch", Shape.BRANCH, hint="As in `branchId` of the messages.")
_GIVEN_BRANCH: Final = Field("branch", "Branch", Shape.BRANCH, filled_in=False)
_NUMBER: Final = Field(
    "number", "Number", Shape.NUMBER, hint="As people write it. It is shown and kept masked."
)
_SENDER: Final = Field(
    "sender_id", "Sender", Shape.SENDER, required=False, hint="Empty: every sender."
)

SETTINGS: Final = (
    Description(
        SetFlags,
        opens="Save…",
        title="Put these flags in force?",
        button="Put these flags in force",
        kind=Kind.UP,
        fields=(Field("flags", "Flags", Shape.DOCUMENT, filled_in=False),),
        undo="Restore version {version}.",
        done="changed the flags",
        relative=True,
    ),
    Description(
        SetUserOverride,
        opens="Set…",
        title="Fix a user to one provider?",
        button="Fix the user",
        kind=Kind.UP,
        fields=(_USER, _PROVIDER),
        undo="Clear the override.",
        done="fixed a user to a provider",
    ),
    Description(
        ClearUserOverride,
        opens="Clear…",
        title="Clear the override of a user?",
        button="Clear the override",
        kind=Kind.UP,
        fields=(_GIVEN_USER,),
        follows="The share decides again where the user's messages go.",
        undo="Set the override again.",
        done="cleared the override of a user",
    ),
    Description(
        SetBranchOverride,
        opens="Set…",
        title="Fix a branch to one provider?",
        button="Fix the branch",
        kind=Kind.UP,
        fields=(_BRANCH, _PROVIDER),
        undo="Clear the override.",
        done="fixed a branch to a provider",
    ),
    Description(
        ClearBranchOverride,
        opens="Clear…",
        title="Clear the override of a branch?",
        button="Clear the override",
        kind=Kind.UP,
        fields=(_GIVEN_BRANCH,),
        follows="The share decides again where the branch's messages go.",
        undo="Set the override again.",
        done="cleared the override of a branch",
    ),
    Description(
        EnableProvider,
        opens="Enable…",
        title="Enable {provider}?",
        button="Enable {provider}",
        kind=Kind.UP,
        fields=(_GIVEN_PROVIDER,),
        undo="Disable {provider}.",
        done="enabled a provider",
        by_effect=True,
    ),
    Description(
        DisableProvider,
        opens="Disable…",
        title="Disable {provider}?",
        button="Disable {provider}",
        kind=Kind.DOWN,
        fields=(_GIVEN_PROVIDER,),
        follows="{provider} is never chosen, not even as fallback. The other takes its share.",
        undo="Enable {provider}.",
        done="disabled a provider",
        by_effect=True,
    ),
    Description(
        ResetBreaker,
        opens="Reset breaker…",
        title="Close the circuit breaker of {provider}?",
        button="Close the breaker of {provider}",
        kind=Kind.BESIDE,
        fields=(_GIVEN_PROVIDER,),
        follows="Every replica calls {provider} again at once.",
        undo="Nothing to undo: the breaker opens by itself if calls fail.",
        done="closed the breaker of a provider",
    ),
    Description(
        Backup,
        opens="Back up…",
        title="Name the version in force?",
        button="Name this version",
        kind=Kind.BESIDE,
        fields=(Field("label", "Name", Shape.LINE, hint="Not a number."),),
        undo="Nothing to undo: the name can be given to another version.",
        done="named a version",
    ),
    Description(
        Restore,
        opens="Restore…",
        title="Put an older version in force?",
        button="Restore {to}",
        kind=Kind.NO_WAY_BACK,
        fields=(
            Field(
                "to",
                "Version",
                Shape.LINE,
                hint="A backup's name, a version number, or last-known-good.",
            ),
        ),
        follows="Its flags, phase and share count again, as a new version.",
        undo="Restore version {version}.",
        done="restored an older version",
        relative=True,
    ),
    Description(
        Ack,
        opens="Take on…",
        title="Take on this alert?",
        button="Take on the alert",
        kind=Kind.BESIDE,
        fields=(
            Field("alert", "Alert", Shape.LINE, filled_in=False),
            Field("provider", "Provider", Shape.PROVIDER, required=False, filled_in=False),
        ),
        follows="Everybody sees your name and reason on it. Nobody is told of it again until it "
        "is over.",
        undo="It cannot be undone; it ends when the alert is over.",
        done="took on an alert",
    ),
    Description(
        AddSuppression,
        opens="Stop messages…",
        title="Stop messages to a recipient?",
        button="Stop messages to this number",
        kind=Kind.BESIDE,
        fields=(_NUMBER, _SENDER),
        follows="No provider sends them any more.",
        undo="Allow messages to the number again.",
        done="stopped messages to a recipient",
    ),
    Description(
        RemoveSuppression,
        opens="Allow messages…",
        title="Allow messages to a recipient again?",
        button="Allow messages to this number",
        kind=Kind.BESIDE,
        fields=(_NUMBER, _SENDER),
        follows="A provider keeps its own list: if it refuses the number, it is stopped again.",
        undo="Stop messages to the number again.",
        done="allowed messages to a recipient",
    ),
)
