"""The volume that a kubelet clones, as long as it did, and no longer does."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import node_of, uid_of
from kubewitness.checks.workloads import Check, equal
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc, parse_minor
from kubewitness.model.needs import CONTROLLERS
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.volumes.mounting import complains, mount, never_start, volume, witness_pod
from suites.watching import Watched, all_ready, complained, events, gone

Tell = Callable[..., Story]
REFUSED_SINCE = (1, 33)
CLONED, HOLDER = "cloned", "holder"
#: A bundle of two commits, each with a file `words`; FIRST, which says "first", is not the branch's last.
BUNDLE = (
    "IyB2MiBnaXQgYnVuZGxlCmUzYjAzMzA4ODdhZTUxZTI2NWU2NzM4YzBkNTY0NDZhMzA0MmYzMDAgcmVmcy9oZWFk"
    "cy9tYWluCmUzYjAzMzA4ODdhZTUxZTI2NWU2NzM4YzBkNTY0NDZhMzA0MmYzMDAgSEVBRAoKUEFDSwAAAAIAAAAG"
    "lQt4nIXKSw7CMAxF0XlWkTkTp4kbV0KIrTjxq0ClH5UgsXyyAyZ3ck87AZ8lI5c8M/MkamUkUAqmUaOhmFS2PsLk"
    "Dj2xNa86DjOIihFikWgmCk51iGFIIsoTxURcnH7aYz/94q/LHV9djxduPuQxd0hE/tJDru7r+mwNf6F7o+6buR+w"
    "yDNwlAh4nIXKQQoCMQwF0H1Pkb2bNDXtCCJeJYZfHMYyUiN4fL2Bb/1iAlT0pG7QBXyzUsVwLNLAqia+qOfea5bi"
    "yd5x3ydtdN6u+Nh4PnCh3GoT0cpMB/5Jvo+xRuBvTH2dr0hf7gklTqECeJwzNDAwMzFRKM8vSilmeCC5jyHns0nn"
    "owviVRbmiyz87r4+CgDCzQ25N3icK05Nzs9L4QIAC1ECh6ECeJwzNDAwMzFRKM8vSilmmBP5yLt5svis2ELdJz8n"
    "iPd+LfadCQDF8A3CNnicS8ssKi7hAgAIigIzFkurq4LbqX+rOIt7G2CoiQ7nbxQ="
)
FIRST = "aa62fe00bd0e3b83dd8ae54c2312488a5903405b"


def refuses(scene: Scene) -> bool:
    return parse_minor(scene.stage.spec.version) >= REFUSED_SINCE


@drive
def cloned(scene: Scene) -> Watched:
    """A pod with a gitRepo volume, whose repository another pod's volume holds on the same node."""
    namespace = scene.namespace()
    told = {}
    with scene.recording(pods(namespace), events(namespace)) as seen:
        bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bundle"}}
        scene.create(namespace, {**bundle, "binaryData": {"words.bundle": BUNDLE}})
        held = volume("held", configMap={"name": "bundle"})
        scene.create(namespace, witness_pod(HOLDER, [mount("held", "/held")], [held]))
        seen.until(all_ready(namespace, HOLDER), what="the holder to be ready")
        holder = scene.request("GET", pods(namespace).item(HOLDER))
        where = f"/var/lib/kubelet/pods/{uid_of(holder)}/volumes/kubernetes.io~configmap/held"
        told["source"] = {"repository": f"{where}/words.bundle", "revision": FIRST, "directory": "tree"}
        clone = volume("clone", gitRepo=told["source"])
        made = scene.create(
            namespace, witness_pod(CLONED, [mount("clone", "/clone")], [clone], nodeName=node_of(holder))
        )
        if refuses(scene):
            seen.until(complained(namespace, "FailedMount", {CLONED: "clone"}), what="an event FailedMount")
        else:
            seen.until(all_ready(namespace, CLONED), what="the pod to be ready")
            told["words"] = scene.ask(namespace, CLONED, "file", path="/clone/tree/words")
        scene.delete(pods(namespace).item(CLONED))
        seen.until(gone(pods(namespace).path, CLONED), what="it to be gone")
    return Watched(namespace, seen, made, told)


def handled(cloned: Watched) -> list[Check]:
    """What is promised of the cluster's version: the files of the revision, or a refusal."""
    if "words" in cloned.told:
        return [equal("the file as of the revision", "first\n", cloned.told["words"].get("content"))]
    disabled = {CLONED: "git-repo volume plugin has been disabled"}
    return [never_start(cloned, [CLONED]), *complains(cloned, "FailedMount", disabled)]


@behaviour(
    "volumes/git-repo",
    says="A gitRepo volume holds the named revision up to Kubernetes 1.32, and from 1.33 on the kubelet"
    " refuses it by default.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=doc("concepts/storage/volumes"),
)  # fmt: skip
def test_git_repo(cloned: Watched, story: Tell) -> None:
    kept = cloned.made["spec"]["volumes"][0].get("gitRepo")
    told = story(cloned.seen.watched, cloned.subject)
    told.must(equal("the volume as the API has it", cloned.told["source"], kept), *handled(cloned))
