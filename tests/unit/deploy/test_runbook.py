"""The runbook has a section for each alert, and what must be typed on the servers exists."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.support import documentation as docs
from tests.support.alert_rules import BY_CODE, alerts, section
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.migration.phases import Phase

RUNBOOK = "deploy/RUNBOOK.md"
ALERTS = docs.chapter(RUNBOOK, "What each alert means")
OF_PROMETHEUS = [name for name in alerts() if name != BY_CODE]
SCREEN = 24
"""Lines of a terminal."""
ON_SERVERS = sorted(set(docs.on_servers(RUNBOOK)))
KUBECTL = [line for line in ON_SERVERS if line.startswith("kubectl ")]


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert docs.headings(ALERTS) == [str(code) for code in AlertCode]


@pytest.mark.parametrize("code", AlertCode)
def test_a_section_says_how_bad_it_is_and_what_to_do(code: AlertCode) -> None:
    shown = " ".join(docs.chapter(RUNBOOK, str(code)).split())
    assert shown.startswith(f"{code.severity.capitalize()} {code.kind}: {code.meaning}. - Look at:")
    assert re.search(r"- Look at: .+ - Do: .+ - Over when: .+\.$", shown)


def test_each_alert_of_prometheus_has_a_section_and_each_section_an_alert() -> None:
    chapter = docs.chapter(RUNBOOK, "Alerts of Prometheus")
    assert docs.headings(chapter) == [section(name) for name in OF_PROMETHEUS]


@pytest.mark.parametrize("name", OF_PROMETHEUS)
def test_a_section_of_prometheus_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = alerts()[name]
    shown = " ".join(docs.chapter(RUNBOOK, section(name)).split())
    summary = rule["annotations"]["summary"]
    said = f"{rule['labels']['severity'].capitalize()}: {summary[0].lower()}{summary[1:]}"
    assert shown.startswith(f"{said} - Look at:")
    assert re.search(r"- Look at: .+ - Do: .+ - Over when: .+\.$", shown)


@pytest.mark.parametrize("code", AlertCode)
def test_the_anchor_of_a_section_is_the_code(code: AlertCode) -> None:
    assert docs.anchor(str(code)) == code
    assert docs.headings(docs.read(RUNBOOK)).count(str(code)) == 1


def test_the_emergency_rollback_is_the_first_screen() -> None:
    text = docs.read(RUNBOOK)
    assert docs.headings(text)[:2] == ["Runbook", "Emergency rollback"]
    assert text.splitlines().index("## Contents") <= SCREEN


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_has_its_row(phase: Phase) -> None:
    assert re.search(rf"^\| `{phase}`[^|]*\|", docs.chapter(RUNBOOK, "Each phase"), re.MULTILINE)


@pytest.mark.parametrize("page", ["RUNBOOK.md", "SECURITY.md", "CAPACITY.md"])
def test_both_first_pages_lead_to_it(page: str) -> None:
    assert f"(deploy/{page})" in docs.read("README.md")
    assert f"({page})" in docs.read("deploy/README.md")


def test_the_chapter_for_the_alerts_of_prometheus_is_the_last_one() -> None:
    chapters = re.findall(r"^## (.+)$", docs.read(RUNBOOK), re.MULTILINE)
    assert chapters[-1] == "Alerts of Prometheus"


def test_every_block_of_a_shell_says_where_it_is_typed() -> None:
    for block in docs.fenced(RUNBOOK, "sh"):
        assert block.splitlines()[0].strip() == "# on the servers"


def test_every_command_on_the_servers_is_of_a_program_that_a_test_knows() -> None:
    """`tests/integration/test_runbook.py` asks the servers themselves."""
    assert {line.split()[0] for line in ON_SERVERS} == {"kubectl", "mongosh", "rabbitmqctl"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")
@pytest.mark.parametrize("line", KUBECTL)
def test_kubectl_has_the_command_and_its_options(line: str) -> None:
    words = docs.words(line)[1:]
    names = [word for word in words if not word.startswith("-") and "/" not in word]
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    known = _help(*names) + _help("options")
    assert f"kubectl {' '.join(names)}" in known
    assert [option for option in options if f"{option}=" not in known] == []


def _help(*words: str) -> str:
    command = ["kubectl", *words] if words == ("options",) else ["kubectl", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603


@pytest.mark.parametrize("line", KUBECTL)
def test_kubectl_is_given_what_the_manifests_have(line: str) -> None:
    manifests = docs.ROOT / "deploy" / "kubernetes"
    if not manifests.is_dir():
        pytest.skip("no manifests in this version")
    for path in re.findall(r"--kustomize=(\S+)", line):
        assert (docs.ROOT / path / "kustomization.yaml").is_file()
    texts = "\n".join(path.read_text() for path in sorted(manifests.rglob("*.yaml")))
    for name in re.findall(r"deployment/(\S+)", line):
        assert re.search(rf"kind: Deployment\n(?:.*\n){{1,5}}  name: {name}$", texts, re.MULTILINE)
    for space in re.findall(r"--namespace=(\S+)", line):
        assert f"namespace: {space}" in texts
