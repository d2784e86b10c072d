"""What kubectl shows of a running pod."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import metadata
from kubewitness.checks.workloads import contains, equal
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites import manifests
from suites.watching import Watched, all_ready

Tell = Callable[..., Story]
NAME = "shown"
PORTS = {"main": 8080, "other": 8081}
NOTE = "/note"


@drive
def shown(scene: Scene) -> Watched:
    """A pod whose containers say something; then kubectl is asked for all of it, and writes a file in one."""
    namespace = scene.namespace()
    told: dict[str, Any] = {}

    def kubectl(*arguments: str) -> str:
        return scene.kubectl("-n", namespace, *arguments)

    def inside(container: str, *command: str) -> str:
        return kubectl("exec", NAME, "-c", container, "--", "/witness", *command)

    with scene.recording(pods(namespace)) as seen:
        containers = [
            manifests.witness("serve", str(port), name=name, **manifests.ready_probe(port=port))
            for name, port in PORTS.items()
        ]
        scene.create(namespace, manifests.pod(NAME, manifests.pod_spec(*containers)))
        seen.until(all_ready(namespace, NAME), what="the pod to be ready")
        for name, port in PORTS.items():
            scene.ask(namespace, f"{NAME}:{port}", "say", text=f"{name} of {namespace}")
        made = scene.request("GET", pods(namespace).item(NAME))
        told["object"] = json.loads(kubectl("get", "pod", NAME, "-o", "json"))
        told["row"] = kubectl("get", "pod", NAME, "-o", "wide", "--no-headers").split()
        told["described"] = [" ".join(line.split()) for line in kubectl("describe", "pod", NAME).splitlines()]
        told["logs"] = {name: kubectl("logs", NAME, "-c", name) for name in PORTS}
        told["environment"] = scene.ask(namespace, NAME, "env")
        told["heard"] = json.loads(inside("main", "get", "http://localhost:8080/env"))
        told["printed"] = inside("main", "append", NOTE, f"from {namespace}")
        told["notes"] = {
            name: scene.ask(namespace, f"{NAME}:{port}", "file", path=NOTE) for name, port in PORTS.items()
        }
    return Watched(namespace, seen, made, told)


@behaviour(
    "pods/logs-and-exec",
    says="kubectl get and describe show a running pod's object, logs shows what each container printed, and"
    " exec runs a command inside the container that it names.",
    kind=Kind.REQUIRED, source=doc("tasks/debug/debug-application/debug-running-pod"), needs={CONTROLLERS},
)  # fmt: skip
def test_logs_and_exec(shown: Watched, story: Tell) -> None:
    pod, namespace = shown.made, shown.namespace
    status, node = pod["status"], pod["spec"]["nodeName"]
    row = [NAME, "2/2", "Running", "0", status["podIP"], node]
    described = {
        f"Name: {NAME}",
        f"Namespace: {namespace}",
        f"Node: {node}/{status['hostIP']}",
        f"IP: {status['podIP']}",
        "Status: Running",
        *(f"Container ID: {each['containerID']}" for each in status["containerStatuses"]),
    }

    in_main, in_other = (shown.told["notes"][name] for name in PORTS)

    def essence(obj: ApiObject) -> tuple[object, ...]:
        return metadata(obj).get("uid"), obj.get("spec"), obj.get("status")

    # A kubelet may go on to add to a pod's status; each state has a version.
    versions = {
        metadata(each.object)["resourceVersion"]: essence(each.object) for each in shown.seen.watched.changes
    }
    version = metadata(shown.told["object"])["resourceVersion"]
    told = story(shown.seen.watched, shown.subject)
    told.must(
        equal("what get prints as JSON", versions.get(version), essence(shown.told["object"])),
        equal("what get prints in a row", row, shown.told["row"][:4] + shown.told["row"][5:7]),
        equal("what describe leaves out", set(), described - {*shown.told["described"]}),
        equal("the logs", {name: f"{name} of {namespace}\n" for name in PORTS}, shown.told["logs"]),
        equal("what a command prints", shown.told["environment"], shown.told["heard"]),
        equal("what a silent command prints", "", shown.told["printed"]),
        equal("the file that a command wrote", f"from {namespace}\n", in_main.get("content")),
        contains("an error for it in the other container", "no such file", str(in_other.get("error"))),
    )  # fmt: skip
