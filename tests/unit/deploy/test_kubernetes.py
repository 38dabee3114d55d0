"""The Kubernetes objects without a cluster: by their schemas, against each other, and against ours.

Where there is a `kubectl` of 1.27 or later, the overlay is rendered as well. Elsewhere that test is
skipped; all others read the files as they are.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from contracts.names import Queue
from tests.support.documentation import ROOT
from tests.support.manifests import (
    DEPLOY,
    KUBERNETES,
    OF_OPENTELEMETRY,
    compose,
    every,
    make_secrets,
    objects,
    private_paths,
    variables,
    webhook_paths,
)
from tests.unit.cli.test_config_command import run
from worker.cli import configuration
from worker.settings.console import ConsoleSettings
from worker.settings.environment import Names
from worker.settings.model import Settings, WebhookSettings
from worker.telemetry import instruments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OLDEST = "1.30.0"
"""The oldest Kubernetes that these objects are for."""
CUSTOM = {
    file.stem.split("_")[0]: file for file in (Path(__file__).parent / "schemas").glob("*.json")
}
"""Schemas of custom resources by kind."""
FOLDERS = ("base", "overlays/example")
BASE, EXAMPLE, OPERATED = objects("base"), objects("overlays/example"), objects("examples")
EVERY = [*BASE, *EXAMPLE, *OPERATED]
DEPLOYMENTS = {each["metadata"]["name"]: each for each in BASE if each["kind"] == "Deployment"}
NAMES = {
    "sms-worker": Names(Settings),
    "sms-webhook": Names(WebhookSettings),
    "sms-console": Names(ConsoleSettings),
}
SEVERAL = ("sms-worker", "sms-webhook")
"""Deployments of several pods; they have secrets and metrics, the console has neither."""
AFTER_THE_DRAIN_S = 30


def named(each: Mapping[str, Any]) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def of(kind: str, among: list[dict[str, Any]] = EVERY) -> list[dict[str, Any]]:
    found = [each for each in among if each["kind"] == kind]
    assert found
    return found


def one(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in of(kind) if each["metadata"]["name"] == name]
    return found


def validate(each: Mapping[str, Any]) -> None:
    """Raise if an object is not valid, or of a kind whose schema is not here."""
    custom = CUSTOM.get(each["kind"].lower())
    if custom is None:
        kubernetes_validate.validate(each, OLDEST, strict=True)
        return
    schema = json.loads(custom.read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(each)


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    return dict(found)


def labels(name: str) -> dict[str, str]:
    found: dict[str, str] = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    return found


def chosen(selector: Mapping[str, str]) -> list[str]:
    """The deployments whose pods have these labels."""
    return [name for name in DEPLOYMENTS if selector.items() <= labels(name).items()]


def ports(name: str) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in container(name)["ports"]}


def probes(name: str) -> dict[str, dict[str, Any]]:
    return {kind: container(name)[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}


def volume(name: str, of_pod: str) -> dict[str, Any]:
    (found,) = [each for each in pod(of_pod)["volumes"] if each["name"] == name]
    return dict(found)


def environment(name: str) -> dict[str, str]:
    """The variables of a pod, as base and overlay bring them together."""
    files = (KUBERNETES / folder / f"{name.removeprefix('sms-')}.env" for folder in FOLDERS)
    return {key: value for file in files if file.exists() for key, value in variables(file).items()}


# --- by themselves -----------------------------------------------------------------------------


@pytest.mark.parametrize("each", EVERY, ids=named)
def test_an_object_is_valid(each: dict[str, Any]) -> None:
    validate(each)


@pytest.mark.parametrize("each", EVERY, ids=named)
def test_the_schema_finds_a_misspelt_field(each: dict[str, Any]) -> None:
    wrong = each | {"spec": {**each.get("spec", {}), "misspelt": 1}}
    with pytest.raises(jsonschema.ValidationError):
        validate(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_file_is_a_part_of_what_kustomize_makes(folder: str) -> None:
    whole = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text(encoding="utf-8"))
    parts = {*whole["resources"], *(e for g in whole["configMapGenerator"] for e in g["envs"])}
    there = {file.name for file in (KUBERNETES / folder).iterdir()} - {"kustomization.yaml"}
    assert {part for part in parts if "/" not in part} == there
    assert all((KUBERNETES / folder / part).exists() for part in parts)


def test_the_overlay_changes_what_is_there() -> None:
    file = KUBERNETES / "overlays/example/kustomization.yaml"
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    images = {container(name)["image"].split(":")[0] for name in DEPLOYMENTS}
    assert [each["name"] for each in whole["images"]] == list(images)
    for patch in whole["patches"]:
        assert patch["target"]["name"] in DEPLOYMENTS
        (step,) = yaml.safe_load(patch["patch"])
        assert step == {"op": "remove", "path": "/spec/replicas"}
        assert "replicas" in DEPLOYMENTS[patch["target"]["name"]]["spec"]


def kustomize() -> bool:
    """Whether there is a `kubectl` that renders what we write."""
    if shutil.which("kubectl") is None:
        return False
    asked = ["kubectl", "version", "--client", "--output=json"]
    told = subprocess.run(asked, capture_output=True, check=False)  # noqa: S603 - as above
    minor = json.loads(told.stdout or "{}").get("clientVersion", {}).get("minor", "0")
    return int(re.sub(r"\D", "", minor)) >= 27


@pytest.mark.skipif(not kustomize(), reason="no kubectl 1.27 or later on this machine")
def test_the_example_is_rendered_to_valid_objects_that_belong_together() -> None:
    folder = str(KUBERNETES / "overlays/example")
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, check=False)  # noqa: S603, S607
    assert done.returncode == 0, done.stderr.decode()
    rendered = list(yaml.safe_load_all(done.stdout))
    for each in rendered:
        validate(each)
    maps = of("ConfigMap", rendered)
    assert len(rendered) == len(BASE) + len(EXAMPLE) + len(maps)
    data = {each["metadata"]["name"]: each["data"] for each in maps}
    for deployment in of("Deployment", rendered):
        (found,) = deployment["spec"]["template"]["spec"]["containers"]
        (source,) = found["envFrom"]
        name = deployment["metadata"]["name"]
        assert data[source["configMapRef"]["name"]] == environment(name)
        assert found["image"] == "registry.example/sms-worker:0.1.0"
        assert ("replicas" in deployment["spec"]) is (name != "sms-worker")
    assert {each["metadata"].get("namespace", "sms") for each in rendered} == {"sms"}


# --- against each other ------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_selects_its_own_pods_and_reads_its_own_variables(name: str) -> None:
    spec = DEPLOYMENTS[name]["spec"]
    assert chosen(spec["selector"]["matchLabels"]) == [name]
    assert container(name)["envFrom"] == [{"configMapRef": {"name": name}}]
    for spread in pod(name).get("topologySpreadConstraints", []):
        assert chosen(spread["labelSelector"]["matchLabels"]) == [name]
    mounts = {each["name"]: each["mountPath"] for each in container(name)["volumeMounts"]}
    assert mounts.keys() == {each["name"] for each in pod(name)["volumes"]}
    assert mounts.get("secrets") == environment(name).get("SMS_SECRETS_DIR")
    assert ("secrets" in mounts) is (name in SEVERAL)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_disruption_takes_one_pod_at_a_time(name: str) -> None:
    budget = one("PodDisruptionBudget", name)["spec"]
    assert chosen(budget["selector"]["matchLabels"]) == [name]
    assert budget["maxUnavailable"] == 1
    assert DEPLOYMENTS[name]["spec"]["replicas"] > 1


@pytest.mark.parametrize("name", SEVERAL)
def test_a_new_pod_is_ready_before_an_old_one_is_stopped(name: str) -> None:
    strategy = DEPLOYMENTS[name]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_there_is_one_console_at_a_time_because_sessions_are_in_its_memory() -> None:
    spec = DEPLOYMENTS["sms-console"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_service_reaches_the_console_and_the_ingress_the_service() -> None:
    spec = one("Service", "sms-console")["spec"]
    assert chosen(spec["selector"]) == ["sms-console"]
    (port,) = spec["ports"]
    assert port["targetPort"] in ports("sms-console")
    ingress = one("Ingress", "sms-console")["spec"]
    ((rule,), (tls,)) = ingress["rules"], ingress["tls"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "sms-console", "port": {"name": port["name"]}}
    assert environment("sms-console")["SMS_CONSOLE_ORIGIN"] == f"https://{rule['host']}"
    assert tls["hosts"] == [rule["host"]]


def test_the_service_reaches_the_webhook_and_the_ingress_the_service() -> None:
    spec = one("Service", "sms-webhook")["spec"]
    assert chosen(spec["selector"]) == ["sms-webhook"]
    (port,) = spec["ports"]
    assert port["targetPort"] in ports("sms-webhook")
    (rule,) = one("Ingress", "sms-webhook")["spec"]["rules"]
    for path in rule["http"]["paths"]:
        assert path["backend"]["service"] == {"name": "sms-webhook", "port": {"name": port["name"]}}
    assert {path["path"] for path in rule["http"]["paths"]} == webhook_paths() - {"/live"}
    url = environment("sms-worker")["SMS_LEGACY__REPORT_BASE_URL"]
    assert url == f"https://{rule['host']}"


def test_nothing_goes_in_or_out_but_what_is_allowed() -> None:
    policies = [each["spec"] for each in of("NetworkPolicy", BASE)]
    closed = [each for each in policies if "ingress" not in each and "egress" not in each]
    (selector,) = [each["podSelector"]["matchLabels"] for each in closed]
    assert closed[0]["policyTypes"] == ["Ingress", "Egress"]
    assert chosen(selector) == list(DEPLOYMENTS)
    for policy in policies:
        names = chosen(policy["podSelector"]["matchLabels"])
        assert names
        for rule in policy.get("ingress", []):
            assert rule["from"]
            assert {port["port"] for port in rule["ports"]} <= set(ports(names[0]))
        assert all(rule["to"] for rule in policy.get("egress", []))


def test_a_worker_reaches_what_its_addresses_name() -> None:
    opened = {
        port["port"]
        for each in of("NetworkPolicy", BASE)
        if "sms-worker" in chosen(each["spec"]["podSelector"]["matchLabels"])
        for rule in each["spec"].get("egress", [])
        for port in rule["ports"]
    }
    assert opened == {53, 443, 587, 4318, 5671, 27017}
    assert ":4318/" in environment("sms-worker")["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]


def test_the_policies_know_the_pods_of_the_operators() -> None:
    (database,) = of("MongoDBCommunity")
    selectors = [each["matchLabels"] for e in of("NetworkPolicy", BASE) for each in selectors_of(e)]
    assert {"app": f"{database['metadata']['name']}-svc"} in selectors
    assert {"app.kubernetes.io/component": "rabbitmq"} in selectors


def selectors_of(each: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The pods that the rules of a policy name."""
    rules = [each["spec"].get("egress", []), each["spec"].get("ingress", [])]
    yield from (found["podSelector"] for found in every(rules) if "podSelector" in found)


# --- against the product -----------------------------------------------------------------------


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_variable_is_a_setting_of_that_process(name: str) -> None:
    others = set(environment(name)) - set(NAMES[name].all)
    assert [each for each in others if not OF_OPENTELEMETRY.fullmatch(each)] == []


@pytest.mark.parametrize("name", SEVERAL)
def test_each_secret_file_is_read_by_a_setting_of_that_process(name: str) -> None:
    secret = volume("secrets", name)["secret"]
    assert secret["secretName"] == name
    files = [each["path"] for each in secret["items"]]
    assert list(NAMES[name].unread(files)) == []
    assert [each["key"] for each in secret["items"]] == files


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secret files as Compose has them: by the same names of settings."""
    return make_secrets(tmp_path_factory.mktemp("deploy") / "secrets")


def mounted(name: str, secrets: Path, folder: Path) -> dict[str, str]:
    """The variables of a pod; its secrets are written into the folder."""
    services = compose()
    files = {
        each["target"]: secrets / Path(services["secrets"][each["source"]]["file"]).name
        for each in services["services"][name.removeprefix("sms-")]["secrets"]
    }
    for each in volume("secrets", name)["secret"]["items"]:
        shutil.copy(files[each["key"]], folder / each["path"])
    return environment(name) | {"SMS_SECRETS_DIR": str(folder)}


def test_the_worker_accepts_what_it_gets(secrets: Path, tmp_path: Path) -> None:
    given = mounted("sms-worker", secrets, tmp_path)
    unset = {each.name: None for each in tmp_path.iterdir()} | {"SMS_TARGET__BASE_URL": None}
    result = run("check-config", **unset, **given, SMS_FLAGS_FILE=str(DEPLOY / "flags.json"))
    assert result.exit_code == 0, result.output
    assert result.output.startswith("configuration is valid\n")


def test_the_webhook_accepts_what_it_gets(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in mounted("sms-webhook", secrets, tmp_path).items():
        monkeypatch.setenv(name, value)
    for file in tmp_path.iterdir():
        monkeypatch.delenv(file.name, raising=False)
    assert configuration.webhook_settings().webhook_port == ports("sms-webhook")["http"]


def test_the_console_accepts_what_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("sms-console").items():
        monkeypatch.setenv(name, value)
    assert configuration.console_settings().is_encrypted


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_probes_ask_what_is_served(name: str) -> None:
    for probe in probes(name).values():
        asked = probe["httpGet"]
        assert asked["path"] in private_paths()
        assert asked["port"] == "private"
    assert probes(name)["startup"]["httpGet"] == probes(name)["liveness"]["httpGet"]
    assert probes(name)["liveness"]["httpGet"]["path"] == "/live"  # a restart repairs no broker


def test_the_ports_are_those_of_the_settings() -> None:
    assert ports("sms-worker") == {"private": int(environment("sms-worker")["SMS_PRIVATE_PORT"])}
    given = environment("sms-webhook")
    assert ports("sms-webhook") == {
        "http": int(given["SMS_WEBHOOK_PORT"]),
        "private": int(given["SMS_WEBHOOK_PRIVATE_PORT"]),
    }
    given = environment("sms-console")
    assert ports("sms-console") == {
        "http": int(given["SMS_CONSOLE_PORT"]),
        "private": int(given["SMS_CONSOLE_PRIVATE_PORT"]),
    }


@pytest.mark.parametrize(("name", "drain_s"), [
    ("sms-worker", Settings.model_fields["drain_grace_s"].default), ("sms-webhook", 0.0),
    ("sms-console", 0.0),
])  # fmt: skip
def test_a_pod_is_killed_only_after_its_longest_drain(name: str, drain_s: float) -> None:
    before = container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    least = drain_s + AFTER_THE_DRAIN_S + before.get("seconds", 0)
    assert pod(name)["terminationGracePeriodSeconds"] >= least
    assert "SMS_DRAIN_GRACE_S" not in environment(name)  # the default is what is compared


def test_the_webhook_is_out_of_the_routes_before_its_port_closes() -> None:
    assert container("sms-webhook")["lifecycle"]["preStop"]["sleep"]["seconds"] > 0


@pytest.mark.parametrize("name", SEVERAL)
def test_metrics_are_scraped_where_they_are_served(name: str) -> None:
    spec = one("PodMonitor", name)["spec"]
    assert chosen(spec["selector"]["matchLabels"]) == [name]
    assert labels(name)[spec["jobLabel"]] == name
    for endpoint in spec["podMetricsEndpoints"]:
        assert endpoint["port"] == "private"
        assert endpoint["path"] in private_paths()


def test_workers_are_added_by_depth_and_age_of_queues() -> None:
    spec = one("ScaledObject", "sms-worker")["spec"]
    assert spec["scaleTargetRef"]["name"] in DEPLOYMENTS
    queues = {each["metadata"].get("queueName") for each in spec["triggers"]} - {None}
    assert queues == {str(Queue.TRANSACTIONAL), str(Queue.BULK)}
    (login,) = {each["authenticationRef"]["name"] for each in spec["triggers"]
                if each["type"] == "rabbitmq"}  # fmt: skip
    assert one("TriggerAuthentication", login)
    (age,) = [each["metadata"] for each in spec["triggers"] if each["type"] == "prometheus"]
    metrics = set(re.findall(r"sms_\w+", age["query"]))
    known = {each.shown for each in instruments.REGISTRY}
    assert {re.sub(r"_(bucket|sum|count)$", "", metric) for metric in metrics} <= known
    assert spec["minReplicaCount"] > 1


# --- rights and limits ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_has_no_more_rights_than_it_needs(name: str) -> None:
    spec, found = pod(name), container(name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    if name in SEVERAL:
        assert volume("secrets", name)["secret"]["defaultMode"] == 0o440
    assert all(mount["readOnly"] for mount in found["volumeMounts"])
    assert "env" not in found  # secrets are files, the rest is in a ConfigMap
    forbidden = {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
    assert not forbidden & spec.keys()


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_asks_for_what_it_needs_and_is_limited(name: str) -> None:
    resources = container(name)["resources"]
    assert resources["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
    assert resources["limits"].keys() == {"memory", "ephemeral-storage"}  # see worker.yaml


def test_images_are_pinned_and_the_same_everywhere() -> None:
    services = compose()["services"]
    images = {found["image"] for each in EVERY for found in every(each) if "image" in found}
    assert images == {"sms-worker:0.1.0", services["rabbitmq"]["image"]}
    (database,) = of("MongoDBCommunity")
    assert services["mongodb"]["image"] == f"mongo:{database['spec']['version']}"
    assert f'version = "{container("sms-worker")["image"].split(":")[1]}"' in (
        ROOT / "pyproject.toml"
    ).read_text(encoding="utf-8")


def test_containers_run_as_the_same_user_everywhere() -> None:
    (user,) = {pod(name)["securityContext"]["runAsUser"] for name in DEPLOYMENTS}
    services = compose()["services"]
    users = {services[name]["user"] for name in ("worker", "webhook", "console", "tools")}
    image = DEPLOY / "Dockerfile"
    if image.exists():
        users |= set(re.findall(r"^USER (\S+)", image.read_text(encoding="utf-8"), re.MULTILINE))
    assert users == {f"{user}:{user}"}
