"""The few lines that are told of a kind that has failed, of the hundreds that it leaves."""

from __future__ import annotations

import pytest

from kubewitness.clusters.kind.failing import not_made, reasons
from kubewitness.model.cluster import ClusterSpec, EngineName, Provider, Setup, Topology

BEGINNING = """\
using docker due to KIND_EXPERIMENTAL_PROVIDER
Creating cluster "kw-tls-1" ...
 • Starting control-plane 🕹️  ...
 ✗ Starting control-plane 🕹️
"""
COMMAND = 'command "docker exec --privileged kw-tls-1-{} kubeadm {} --config=/kind/kubeadm.conf --v=6"'
STACK = """\
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
\tk8s.io/kubernetes@v1.37.2/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
github.com/spf13/cobra.(*Command).execute
\tgithub.com/spf13/cobra@v1.10.2/command.go:1015
main.main
\tk8s.io/kubernetes@v1.37.2/cmd/kubeadm/kubeadm.go:25
runtime.goexit
\truntime/asm_amd64.s:1771
"""
STEPS = """\
I1126 01:17:15.538614      88 initconfiguration.go:262] loading configuration from "/kind/kubeadm.conf"
W1126 01:17:15.541116      88 initconfiguration.go:363] [config] WARNING: Ignored configuration document
[certs] Generating "ca" certificate and key
[kubelet-start] Starting the kubelet
"""


def log(said: str, node: str = "control-plane", step: str = "init", status: int = 1) -> str:
    """kind's, when kubeadm ``said`` that in a node."""
    what = f"failed to {step} node with kubeadm: {COMMAND.format(node, step)}"
    return (
        f"{BEGINNING}ERROR: failed to create cluster: {what} failed with error: exit status {status}\n"
        f"\nCommand Output: {said}"
    )


def spec(engine: EngineName = EngineName.DOCKER, workers: int = 1) -> ClusterSpec:
    return ClusterSpec(
        "1.37.2", Provider.KIND, Setup.TLS, Topology.STANDARD, workers, engine=engine, named="kw-tls-1"
    )


def test_the_reason_is_what_stands_before_the_stack_trace() -> None:
    told = reasons(log(f"{STEPS}error: error execution phase wait-control-plane: it would be late\n{STACK}"))
    assert told[0].startswith("failed to create cluster: failed to init node with kubeadm: command ")
    assert told[0].endswith("failed with error: exit status 1")
    assert told[1:] == ["error: error execution phase wait-control-plane: it would be late"]


def test_older_versions_tell_the_cause_and_what_it_led_to_each_with_a_stack_trace() -> None:
    told = ["timed out waiting for the condition", "error execution phase wait-control-plane"]
    assert reasons(log(STEPS + "".join(f"{each}\n{STACK}" for each in told)))[1:] == told


def test_a_check_before_the_start_tells_all_that_it_found_and_no_hint_for_who_called_it() -> None:
    said = (
        f"{STEPS}error: error execution phase preflight: [preflight] Some fatal errors occurred:\n"
        "\t[ERROR Swap]: running with swap on is not supported\n"
        "\t[ERROR Mem]: the system RAM (800 MB) is less than the minimum 1700 MB\n"
        "[preflight] If you know what you are doing, you can make a check non-fatal\n"
    )
    wanted = [
        "error: error execution phase preflight: [preflight] Some fatal errors occurred:",
        "[ERROR Swap]: running with swap on is not supported",
        "[ERROR Mem]: the system RAM (800 MB) is less than the minimum 1700 MB",
    ]
    assert reasons(log(said + STACK))[1:] == wanted
    assert reasons(log(f"{said}no stack trace\n"))[1:] == wanted


def test_of_advice_for_who_is_on_the_node_the_causes_alone_are_told() -> None:
    """As 1.29 has it, of a kubelet that does not run."""
    said = f"""{STEPS}
Unfortunately, an error has occurred:
\ttimed out waiting for the condition

This error is likely caused by:
\t- The kubelet is not running

If you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:
\t- 'systemctl status kubelet'
couldn't initialize a Kubernetes cluster
{STACK}"""
    assert reasons(log(said))[1:] == [
        "Unfortunately, an error has occurred:",
        "timed out waiting for the condition",
        "This error is likely caused by:",
        "- The kubelet is not running",
        "couldn't initialize a Kubernetes cluster",
    ]


def test_a_command_that_called_nothing_an_error_is_told_by_its_end() -> None:
    """It was killed, or it is none of kubeadm's."""
    assert reasons(log(STEPS, status=137))[1:] == ["last, it said: [kubelet-start] Starting the kubelet"]
    assert reasons(log("Error response from daemon: Container 9bc0 is not running\n"))[1:] == [
        "last, it said: Error response from daemon: Container 9bc0 is not running"
    ]


def test_a_kind_that_did_not_come_that_far_is_told_by_its_end() -> None:
    assert reasons(f"{BEGINNING}\n") == ["last, it said: ✗ Starting control-plane 🕹️"]
    assert reasons("ERROR: unknown engine\n") == ["unknown engine"]
    assert reasons("") == []


def test_the_message_tells_what_was_wanted_what_was_found_and_where_to_look() -> None:
    said = log(f"{STEPS}error: it would be late\n{STACK}", node="worker", step="join")
    wanted = "kw-tls-1, a control plane and 1 worker of Kubernetes 1.37.2, in this host's docker"
    assert not_made(spec(), "1.37.2", 1, said, load=0.5).splitlines() == [
        f"kind was to make {wanted}, and failed with status 1:",
        *(f"    {each}" for each in reasons(said)),
        "look into console.log, kubelet.log and pods of kw-tls-1-worker",
    ]


def test_without_a_reason_the_control_plane_is_the_place_to_look() -> None:
    first, *_, last = not_made(spec(EngineName.OWN, workers=2), "1.37.2", -9, "", load=0.5).splitlines()
    assert first.endswith(
        "and 2 workers of Kubernetes 1.37.2, in the run's own engine, and failed with status -9:"
    )
    assert last == "look into console.log, kubelet.log and pods of kw-tls-1-control-plane"


@pytest.mark.parametrize(("load", "busy"), [(4000.0, True), (0.1, False)])
def test_a_busy_host_is_named_since_kubeadm_does_not_wait_for_it(load: float, *, busy: bool) -> None:
    told = not_made(spec(), "1.37.2", 1, log(STEPS), load)
    assert ("try again when it has less to do" in told) == busy
