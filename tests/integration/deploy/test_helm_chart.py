"""deploy/helm/synapsenet: rendered by Helm, checked against Kubernetes' own schemas, and in step with the platform."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from synapsenet_servers.mesh.sole import SOLE
from synapsenet_servers.serve import KNOWN
from tests.integration.deploy.keys import accepted

CHART = Path(__file__).resolve().parents[3] / "deploy" / "helm" / "synapsenet"
OLDEST_KUBERNETES = "1.29"
AREAS = sorted(KNOWN.keys() - {"mesh"})

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def chart() -> Iterator[helm_python.Chart]:
    with helm_python.Chart.load(CHART) as chart:
        yield chart


def manifests(chart: helm_python.Chart, values: Mapping[str, Any] | None = None) -> list[Manifest]:
    """Everything that a release named `demo` consists of."""
    rendered = chart.render(dict(values or {}), name="demo", namespace="ml")
    return [manifest for text in rendered.values() for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]


def workloads(of: list[Manifest]) -> dict[str, Manifest]:
    """Deployments and StatefulSets, by component."""
    chosen = [manifest for manifest in of if manifest["kind"] in ("Deployment", "StatefulSet")]
    return {manifest["metadata"]["labels"]["app.kubernetes.io/component"]: manifest for manifest in chosen}


def containers(workload: Manifest) -> list[Manifest]:
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def served(workload: Manifest) -> list[str]:
    return [container["args"][1] for container in containers(workload)]


OTHER_VALUES: list[dict[str, Any]] = [
    {},
    {"artifacts": {"claim": "ours"}, "pullSecrets": ["registry"], "nodeSelector": {"disk": "ssd"}, "storageClass": "fast"},
    {"edge": {"hosts": ["ml.example.org"], "service": {"type": "LoadBalancer", "annotations": {"a": "b"}}}},
    {"tolerations": [{"key": "gpu", "operator": "Exists"}], "roles": {"inference": {"replicas": 5}}},
]


@pytest.mark.parametrize("values", OTHER_VALUES, ids=["default", "claims", "edge", "placement"])
def test_every_manifest_is_one_that_kubernetes_takes(chart: helm_python.Chart, values: dict[str, Any]) -> None:
    for manifest in manifests(chart, values):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_oldest_kubernetes_that_the_chart_names_takes_every_manifest_too(chart: helm_python.Chart) -> None:
    assert chart.metadata["kubeVersion"].startswith(f">={OLDEST_KUBERNETES}.")
    for manifest in manifests(chart):
        kubernetes_validate.validate(manifest, OLDEST_KUBERNETES, strict=True)


def test_a_misspelt_field_of_a_manifest_would_be_refused(chart: helm_python.Chart) -> None:
    wrong = workloads(manifests(chart))["models"]
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST_KUBERNETES, strict=True)


def test_helm_finds_no_fault_with_the_chart() -> None:
    report = helm_python.lint(CHART, strict=True)
    assert [message for message in report["messages"] if message["severity"] > 1] == report["errors"] == []


@pytest.mark.parametrize(
    "values",
    [
        {"imag": {}},
        {"roles": {"modles": {"replicas": 1}}},
        {"roles": {"models": {"replicas": "2"}}},
        {"roles": {"training": {"replicas": 2}}},
        {"edge": {"replicas": -1}},
    ],
)
def test_values_that_mean_nothing_are_refused(chart: helm_python.Chart, values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        chart.render(values, name="demo")


def test_every_role_is_deployed_with_an_envoy_beside_it_a_service_and_a_budget_for_disruptions(
    chart: helm_python.Chart,
) -> None:
    everything = manifests(chart)
    deployed = workloads(everything)
    assert sorted(deployed) == sorted([*AREAS, "edge"])
    assert {area: served(deployed[area]) for area in AREAS} == {area: ["mesh", area] for area in AREAS}
    assert served(deployed["edge"]) == ["mesh"]
    for kind in ("Service", "PodDisruptionBudget"):
        named = [manifest["metadata"]["name"] for manifest in everything if manifest["kind"] == kind]
        assert sorted(named) == sorted(f"demo-{component}" for component in deployed)


def test_what_is_kept_in_files_is_on_a_volume_of_its_own(chart: helm_python.Chart) -> None:
    deployed = workloads(manifests(chart))
    keeping = {name for name, workload in deployed.items() if workload["kind"] == "StatefulSet"}
    assert keeping == SOLE
    for name in keeping:
        assert [claim["metadata"]["name"] for claim in deployed[name]["spec"]["volumeClaimTemplates"]] == ["data"]


def test_every_container_is_asked_for_its_health_bounded_and_without_privileges(chart: helm_python.Chart) -> None:
    for workload in workloads(manifests(chart)).values():
        for container in containers(workload):
            port = next(item["value"] for item in container["env"] if item["name"] == "SYNAPSENET_MESH__LISTEN").rpartition(
                ":"
            )[2]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["exec"]["command"][:4] == [
                    "python",
                    "-m",
                    "synapsenet_servers.probe",
                    f"127.0.0.1:{port}",
                ]
            assert container["resources"]["limits"]["memory"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_every_key_of_the_configuration_is_one_that_the_platform_knows(
    chart: helm_python.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = manifests(chart)
    file = tmp_path / "cluster.toml"
    file.write_text(next(manifest for manifest in everything if manifest["kind"] == "ConfigMap")["data"]["cluster.toml"])
    for workload in workloads(everything).values():
        for container in containers(workload):
            variables = {item["name"]: item.get("value", "10.0.0.1") for item in container["env"] if item["name"] != "POD_IP"}
            variables = {name: value.replace("$(POD_IP)", "10.0.0.1") for name, value in variables.items()}
            accepted(file, variables, monkeypatch)


def test_the_configuration_may_have_sections_in_sections_lists_and_text_with_quotes(
    chart: helm_python.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wished = {"edge": {"hosts": ['a"b', "c"]}, "features": {"online": {"scan_rows": 7}}, "mesh": {"health_interval_s": 0.25}}
    everything = manifests(chart, {"config": wished})
    file = tmp_path / "cluster.toml"
    file.write_text(next(manifest for manifest in everything if manifest["kind"] == "ConfigMap")["data"]["cluster.toml"])
    known = accepted(file, {}, monkeypatch)
    assert (known.edge.hosts, known.features.online.scan_rows, known.mesh.health_interval_s) == (('a"b', "c"), 7, 0.25)


def test_a_changed_configuration_rolls_every_pod(chart: helm_python.Chart) -> None:
    def checksums(values: Mapping[str, Any]) -> list[str]:
        pods = [workload["spec"]["template"]["metadata"] for workload in workloads(manifests(chart, values)).values()]
        return [pod["annotations"]["checksum/config"] for pod in pods]

    before, after = checksums({}), checksums({"config": {"mesh": {"zone": "b"}}})
    assert not set(before) & set(after), json.dumps(before)
