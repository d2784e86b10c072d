"""What a container finds about its pod in files."""

from __future__ import annotations

from collections.abc import Callable

from kubewitness.checks.downward import divided, field, listed
from kubewitness.checks.workloads import Check, contains, equal
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.downward.conftest import (
    AFTER,
    DEFAULT_MODE,
    INFO,
    ITEMS,
    MODE_OF_NONE,
    PLAIN,
    Files,
    Informed,
)
from suites.downward.fields import ANNOTATION, LABEL, RESOURCES

Tell = Callable[..., Story]
FILES = doc("tasks/inject-data-application/downward-api-volume-expose-pod-information")


def holds(files: Files, path: str, wanted: str) -> Check:
    return equal(f"content of {path}", wanted, files[path].get("content"))


def holds_annotation(files: Files, value: str) -> Check:
    """Among the others: a kubelet adds annotations of its own."""
    wanted = listed({ANNOTATION: value})
    return contains("a list of annotations", wanted, str(files[f"{INFO}/annotations"].get("content")))


def modes(files: Files) -> dict[str, str]:
    return {path: str(each.get("mode")) for path, each in files.items()}


def names(informed: Informed, directory: str) -> set[str]:
    """What lies in a directory; the kubelet's own entries begin with two dots."""
    found = {each.removeprefix(directory).strip("/").partition("/")[0] for each in informed.listed[directory]}
    return {each for each in found if each and not each.startswith("..")}


@behaviour(
    "downward/volume-files-and-modes",
    says="A downward API volume holds one file per item, with the mode that the item or the volume gives.",
    kind=Kind.REQUIRED, source=FILES, needs={CONTROLLERS},
)  # fmt: skip
def test_volume_files_and_modes(informed: Informed, story: Tell) -> None:
    wanted = {f"{INFO}/{path}": DEFAULT_MODE if mode is None else mode for path, (_, mode) in ITEMS.items()}
    wanted[f"{PLAIN}/namespace"] = MODE_OF_NONE
    fields = {f"{INFO}/{path}": source.get("fieldRef") for path, (source, _) in ITEMS.items()}
    annotation = informed.pod["metadata"]["annotations"][ANNOTATION]
    story(informed.seen.watched, informed.key).must(
        equal("files", {each.partition("/")[0] for each in ITEMS}, names(informed, INFO)),
        equal("files in a directory", {"name", "namespace", "uid"}, names(informed, f"{INFO}/who/")),
        equal("files in the other volume", {"namespace"}, names(informed, PLAIN)),
        equal("modes", {path: f"{mode:04o}" for path, mode in wanted.items()}, modes(informed.files)),
        *(
            holds(informed.files, path, field(informed.pod, each["fieldPath"]))
            for path, each in fields.items()
            if each and path != f"{INFO}/annotations"
        ),
        holds_annotation(informed.files, annotation),
        holds(informed.files, f"{INFO}/cpu", divided(RESOURCES["limits"]["cpu"], "1m")),
        holds(informed.files, f"{PLAIN}/namespace", informed.namespace),
    )


@behaviour(
    "downward/volume-follows-label-change",
    says="A changed label or annotation reaches the file of a downward API volume in the running pod.",
    kind=Kind.REQUIRED, source=FILES, needs={CONTROLLERS},
)  # fmt: skip
def test_volume_follows_label_change(informed: Informed, story: Tell) -> None:
    files, labels = informed.changed_files, informed.changed_pod["metadata"]["labels"]
    story(informed.seen.watched, informed.key).must(
        equal("the label in the API, changed", AFTER.labels[LABEL], labels.get(LABEL)),
        holds(files, f"{INFO}/tier", AFTER.labels[LABEL]),
        holds(files, f"{INFO}/labels", listed(labels)),
        holds(files, f"{INFO}/note", AFTER.annotations[ANNOTATION]),
        holds_annotation(files, AFTER.annotations[ANNOTATION]),
        equal("the modes as before", modes(informed.files), modes(files)),
        equal(
            "the container as before, never started again", informed.containers, informed.changed_containers
        ),
    )
