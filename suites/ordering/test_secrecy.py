"""What an eavesdropper learns."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.stage import Scene, Stage
from kubewitness.checks.ordering import visible
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.cluster import Setup
from kubewitness.model.needs import CAPTURED_TRAFFIC
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.ordering.conftest import START_S
from suites.ordering.pods import pause_pod
from suites.states import is_bound


@behaviour(
    "ordering/tls-hides-every-payload",
    says="In `tls` a marker put into a pod, a secret and a token appears on no link, while the same filter"
    " finds it in `insecure`.",
    kind=Kind.REQUIRED, source=doc("concepts/security/controlling-access"),
    needs={CAPTURED_TRAFFIC},
)  # fmt: skip
def test_tls_hides_every_payload(untainted: Stage, scene: Scene, story: Callable[..., Story]) -> None:
    namespace = scene.namespace()
    marker = f"marker-{namespace}"
    pod = pause_pod(namespace, "marked", containers=[
        {"name": "pause", "image": "registry.k8s.io/pause:3.10.2", "imagePullPolicy": "Never",
         "env": [{"name": "MARKER", "value": marker}]},
    ])  # fmt: skip
    secret = {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": namespace, "name": "marked"}, "stringData": {"marker": marker},
    }  # fmt: skip
    with scene.recording() as recording:
        scene.mark(marker)
        scene.kubectl("create", "-f", "-", stdin=secret)
        scene.kubectl("create", "-f", "-", stdin=pod)
        scene.wait(pods(namespace), "marked", is_bound, what="marked to be bound", within_s=START_S)
        scene.kubectl("get", "--raw", "/version", f"--token={marker}")
    told = story(recording.history, f"{namespace}/marked")
    readable = untainted.spec.setup is Setup.INSECURE
    told.must(visible(*recording.packets_with(marker), readable=readable))
