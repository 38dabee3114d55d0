"""Converts snapshots to MongoDB documents and back.

Rules: documents of other versions of this worker are read by the rules of `domain.stored`. An
unknown word in a setting is read as the safe value: the default policy, no proposal. An unknown
phase or override raises `UnreadableDocument`, because nothing may be sent by half of a state.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from worker.domain.migration.flags import (
    Flags,
    MigrationSettings,
    RollbackPolicy,
    Thresholds,
    WorseByAtMost,
)
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Requirements, Role, Rules
from worker.domain.migration.snapshot import Lock, Proposal, Snapshot
from worker.domain.probes.settings import ValidationTraffic
from worker.domain.stored import by_word, read_known, word, words
from worker.ports.store import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterable

Document = dict[str, Any]


def of_snapshot(value: Snapshot) -> Document:
    """Convert a snapshot to a document."""
    flags, lock, proposal = value.flags, value.lock, value.proposal
    return {
        "version": value.version,
        "lineage": value.lineage,
        "phase": str(value.phase),
        "percentage": value.percentage,
        "flags": {
            "targetEnabled": flags.target_enabled,
            "legacyEnabled": flags.legacy_enabled,
            "automaticRollback": flags.automatic_rollback,
            "rollbackPolicy": str(flags.rollback_policy),
            "rollbackGraceS": flags.rollback_grace_s,
            "thresholds": _fields(flags.thresholds),
            "migration": _migration(flags.migration),
            "phases": {str(phase): _rules(rules) for phase, rules in flags.phases.items()},
        },
        # Stored as pairs, because user names may have dots and dollars.
        "userOverrides": [[k, str(v)] for k, v in flags.user_overrides.items()],
        "branchOverrides": [[k, str(v)] for k, v in flags.branch_overrides.items()],
        "legacyRetired": value.legacy_retired,
        "held": value.held,
        "heldReason": value.held_reason,
        "lock": _fields(lock) if lock else None,
        "proposal": {**_fields(proposal), "phase": str(proposal.phase)} if proposal else None,
        "breakerResets": {str(k): v for k, v in value.breaker_resets.items()},
        "lastPercentages": {str(k): v for k, v in value.last_percentages.items()},
        "backups": [[k, v] for k, v in value.backups.items()],
        "startedAt": value.started_at,
        "since": value.since,
        "initiatedBy": value.initiated_by,
        "previousPhase": str(value.previous_phase) if value.previous_phase else None,
        "notes": value.notes,
        "proven": list(value.proven),
        "automaticDowns": list(value.automatic_downs),
        "anew": value.anew,
    }


def snapshot(document: Document) -> Snapshot:
    """Read a stored snapshot. Raises `UnreadableDocument`."""
    try:
        return _snapshot(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        which = f"version {document.get('version')} of the state"
        raise UnreadableDocument(f"{which} was written by a newer worker: {error}") from error


def _snapshot(document: Document) -> Snapshot:
    lock = document.get("lock")
    return Snapshot(
        version=document["version"],
        lineage=document["lineage"],
        phase=Phase(document["phase"]),
        percentage=document["percentage"],
        flags=_flags(document),
        legacy_retired=document.get("legacyRetired", False),
        held=document.get("held", False),
        held_reason=document.get("heldReason", ""),
        lock=read_known(Lock, lock) if lock else None,
        proposal=_proposal(document.get("proposal")),
        breaker_resets=MappingProxyType(by_word(Role, document.get("breakerResets", {}))),
        last_percentages=MappingProxyType(by_word(Phase, document.get("lastPercentages", {}))),
        backups=_frozen((k, v) for k, v in document.get("backups", ())),
        started_at=document.get("startedAt"),
        since=document.get("since"),
        initiated_by=document.get("initiatedBy", ""),
        previous_phase=word(Phase, document.get("previousPhase"), None),
        notes=document.get("notes", ""),
        proven=tuple(document.get("proven", ())),
        automatic_downs=tuple(document.get("automaticDowns", ())),
        anew=document.get("anew", 0),
    )


def _proposal(document: Document | None) -> Proposal | None:
    """Read a proposal; None: there is none, or this version cannot carry it out."""
    phase = word(Phase, document["phase"], None) if document else None
    return read_known(Proposal, document, phase=phase) if document and phase else None


def _flags(document: Document) -> Flags:
    stored = document["flags"]
    phases = {k: _read_rules(v) for k, v in by_word(Phase, stored.get("phases", {})).items()}
    policy = stored.get("rollbackPolicy")
    return Flags(
        target_enabled=stored["targetEnabled"],
        legacy_enabled=stored["legacyEnabled"],
        automatic_rollback=stored.get("automaticRollback", True),
        rollback_policy=word(RollbackPolicy, policy, RollbackPolicy.EVIDENCE),
        rollback_grace_s=stored.get("rollbackGraceS", 0.0),
        thresholds=read_known(Thresholds, stored.get("thresholds", {})),
        user_overrides=_frozen((k, Role(v)) for k, v in document["userOverrides"]),
        branch_overrides=_frozen((k, Role(v)) for k, v in document["branchOverrides"]),
        migration=_read_migration(stored.get("migration", {})),
        phases=MappingProxyType({**DEFAULT_RULES, **phases}),
    )


def _migration(migration: MigrationSettings) -> Document:
    probes = migration.validation
    return {
        **_fields(migration),
        "notify": list(migration.notify),
        "worse_by_at_most": _fields(migration.worse_by_at_most),
        "validation": {
            **_fields(probes),
            "numbers": list(probes.numbers),
            "providers": [str(role) for role in probes.providers],
        },
    }


def _read_migration(document: Document) -> MigrationSettings:
    probes = document.get("validation") or {}
    providers = {"providers": words(Role, probes["providers"])} if "providers" in probes else {}
    validation = read_known(ValidationTraffic, probes, **providers)
    within = read_known(WorseByAtMost, document.get("worse_by_at_most", {}))
    return read_known(MigrationSettings, document, validation=validation, worse_by_at_most=within)


def _rules(rules: Rules) -> Document:
    asked = rules.requirements
    requirements = _fields(asked) if asked else None
    return {**_fields(rules), "steps": list(rules.steps), "requirements": requirements}


def _read_rules(document: Document) -> Rules:
    asked = document.get("requirements")
    requirements = read_known(Requirements, asked) if asked else None
    return read_known(Rules, document, requirements=requirements)


def _fields(value: Any) -> Document:
    return {name: getattr(value, name) for name in value.__slots__}


def _frozen(pairs: Iterable[tuple[Any, Any]]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(dict(pairs))
