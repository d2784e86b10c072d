"""Volumes that the kubelet fills, and the ways in which a container may see them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from fixtures.drives import drive
from fixtures.stage import Scene
from kubewitness.checks.selecting import uid_of
from kubewitness.checks.workloads import contains, equal
from kubewitness.clusters.api import pods
from kubewitness.model.behaviour import Kind, doc
from kubewitness.model.needs import CONTROLLERS
from kubewitness.model.observation import ApiObject
from kubewitness.reporting.behaviours import behaviour
from kubewitness.reporting.story import Story
from suites.volumes.mounting import mount, volume, witness_pod
from suites.watching import Watched, all_ready

Tell = Callable[..., Story]
VOLUMES = doc("concepts/storage/volumes")
SECRETS = doc("concepts/configuration/secret")
NAME, AUDIENCE = "reader", "kubewitness.example"
SECRET = {"user": "somebody", "word": "open sesame"}
CONFIG = {"colour": "green", "size": "large\nand round"}
#: A kubelet looks at a pod anew at least every minute and a half; see `filled` for what makes it look sooner.
PROPAGATED_S = 180.0


def objects() -> list[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": SECRET},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": CONFIG},
    ]


def volumes() -> list[dict[str, Any]]:
    chosen = [{"key": "size", "path": "deep/er/size", "mode": 0o600}, {"key": "colour", "path": "colour"}]
    together = [
        {"secret": {"name": "secret", "items": [{"key": "user", "path": "from/secret"}]}},
        {"configMap": {"name": "config", "items": [{"key": "colour", "path": "from/config"}]}},
        {
            "downwardAPI": {
                "items": [
                    {"path": "from/pod", "fieldRef": {"fieldPath": "metadata.name"}},
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                ]
            }
        },
        {"serviceAccountToken": {"path": "token", "audience": AUDIENCE, "expirationSeconds": 600}},
    ]
    return [
        volume("secret", secret={"secretName": "secret", "defaultMode": 0o400}),
        volume("config", configMap={"name": "config"}),
        volume("chosen", configMap={"name": "config", "defaultMode": 0o440, "items": chosen}),
        volume("projected", projected={"sources": together}),
        volume("scratch", emptyDir={}),
    ]


MOUNTS = [
    mount("secret", "/secret"),
    mount("config", "/config"),
    mount("chosen", "/chosen"),
    mount("projected", "/projected"),
    mount("scratch", "/whole"),
    mount("scratch", "/part", subPath="part"),
    mount("scratch", "/fixed", readOnly=True),
    mount("config", "/single/colour", subPath="colour"),
]
FILES = (
    "/secret/user", "/secret/word", "/secret", "/config/colour", "/config/size", "/chosen/colour",
    "/chosen/deep/er/size", "/projected/from/secret", "/projected/from/config", "/projected/from/pod",
    "/projected/labels", "/projected/token", "/single/colour",
)  # fmt: skip
DIRECTORIES = ("/config", "/chosen", "/projected", "/single")


@drive
def filled(scene: Scene) -> Watched:
    """A pod with every kind of volume that a kubelet fills; then its Secret changes."""
    namespace = scene.namespace()

    def ask(what: str, /, **query: str) -> ApiObject:
        return scene.ask(namespace, NAME, what, **query)

    told: dict[str, ApiObject] = {}
    with scene.recording(pods(namespace)) as seen:
        secret, _ = [scene.create(namespace, each) for each in objects()]
        reader = witness_pod(NAME, MOUNTS, volumes())
        reader["metadata"]["labels"] = {"kind": "reader"}
        made = scene.create(namespace, reader)
        seen.until(all_ready(namespace, NAME), what="the reader to be ready")
        for path in FILES:
            told[path] = ask("file", path=path)
        for path in DIRECTORIES:
            told[path] = ask("files", path=path)
        ask("append", path="/whole/outside", text="outside")
        ask("append", path="/whole/part/inside", text="inside")
        told["/part"] = ask("files", path="/part")
        told["/part/inside"] = ask("file", path="/part/inside")
        told["by the part"] = ask("append", path="/part/inside", text="by the part")
        told["/whole/part/inside"] = ask("file", path="/whole/part/inside")
        told["to the fixed"] = ask("append", path="/fixed/outside", text="more")
        told["to the secret"] = ask("append", path="/secret/user", text="more")
        told["/fixed/outside"] = ask("file", path="/fixed/outside")
        told["/secret/user after"] = ask("file", path="/secret/user")

        changed = {"stringData": {"word": "close sesame"}}
        scene.patch(f"/api/v1/namespaces/{namespace}/secrets/secret", changed)
        # A kubelet acts on a changed pod at once; on a changed Secret only when it looks at the pod anyway.
        scene.patch(pods(namespace).item(NAME), {"metadata": {"annotations": {"look": "again"}}})
        told["/secret/word after"] = scene.ask_until(
            namespace, NAME, "file", lambda now: now.get("content") != SECRET["word"],
            what="the file of the changed Secret to change", within_s=PROPAGATED_S, path="/secret/word",
        )  # fmt: skip
        told["secret"] = secret
    return Watched(namespace, seen, made, told)


def plain(answer: ApiObject) -> list[str]:
    """The files and directories that were listed, without those that the kubelet keeps for itself."""
    return sorted(each for each in answer.get("files", []) if "/.." not in each)


def content(filled: Watched, *paths: str) -> list[str | None]:
    return [filled.told[each].get("content") for each in paths]


def modes(filled: Watched, *paths: str) -> list[str | None]:
    return [filled.told[each].get("mode") for each in paths]


@behaviour(
    "volumes/secret-is-tmpfs",
    says="A secret volume is held in a tmpfs, never on the node's disk.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=SECRETS,
)  # fmt: skip
def test_secret_is_tmpfs(filled: Watched, story: Tell) -> None:
    told = story(filled.seen.watched, filled.subject)
    told.must(
        equal("what the files say", [*SECRET.values()], content(filled, "/secret/user", "/secret/word")),
        equal("their modes", 2 * ["0400"], modes(filled, "/secret/user", "/secret/word")),
        equal(
            "a tmpfs under the directory, the files and the changed one", 4 * [True],
            [
                filled.told[each].get("tmpfs")
                for each in ("/secret", "/secret/user", "/secret/word", "/secret/word after")
            ],
        ),
    )  # fmt: skip


@behaviour(
    "volumes/secret-update-propagates",
    says="A changed Secret reaches the files of running pods that mount it.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=SECRETS,
)  # fmt: skip
def test_secret_update_propagates(filled: Watched, story: Tell) -> None:
    told = story(filled.seen.watched, filled.subject)
    told.must(
        equal(
            "the file before and after", ["open sesame", "close sesame"],
            content(filled, "/secret/word", "/secret/word after"),
        ),
    )  # fmt: skip


@behaviour(
    "volumes/config-map-files-and-modes",
    says="A ConfigMap volume holds one file per key, at the paths and with the modes that the volume names.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=doc("concepts/configuration/configmap"),
)  # fmt: skip
def test_config_map_files_and_modes(filled: Watched, story: Tell) -> None:
    told = story(filled.seen.watched, filled.subject)
    told.must(
        equal("a file per key", ["/config", "/config/colour", "/config/size"], plain(filled.told["/config"])),
        equal("what they say", [*CONFIG.values()], content(filled, "/config/colour", "/config/size")),
        equal("the default mode", 2 * ["0644"], modes(filled, "/config/colour", "/config/size")),
        # The kubelet makes a link to the directory `deep`, so that a walk does not go further.
        equal("chosen paths", ["/chosen", "/chosen/colour", "/chosen/deep"], plain(filled.told["/chosen"])),
        equal(
            "what they say", [*CONFIG.values()], content(filled, "/chosen/colour", "/chosen/deep/er/size")
        ),
        equal(
            "the modes that they name", ["0440", "0600"],
            modes(filled, "/chosen/colour", "/chosen/deep/er/size"),
        ),
    )  # fmt: skip


def claims(token: str) -> dict[str, Any]:
    """What a token says of itself. Nobody asks here whether it is genuine."""
    body = [*token.split("."), ""][1]
    try:
        return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
    except ValueError:
        return {}


@behaviour(
    "volumes/projected",
    says="A projected volume holds Secrets, ConfigMaps, downward fields and a service account token in one"
    " directory.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=doc("concepts/storage/projected-volumes"),
)  # fmt: skip
def test_projected(filled: Watched, story: Tell) -> None:
    token = claims(str(filled.told["/projected/token"].get("content")))
    told = story(filled.seen.watched, filled.subject)
    told.must(
        equal(
            "its files", ["/projected", "/projected/from", "/projected/labels", "/projected/token"],
            plain(filled.told["/projected"]),
        ),
        equal(
            "what they say", ["somebody", "green", NAME, 'kind="reader"'],
            content(
                filled, "/projected/from/secret", "/projected/from/config", "/projected/from/pod",
                "/projected/labels",
            ),
        ),
        equal(
            "the audience, account and pod of the token",
            ([AUDIENCE], f"system:serviceaccount:{filled.namespace}:default", uid_of(filled.made)),
            (
                token.get("aud"), token.get("sub"),
                token.get("kubernetes.io", {}).get("pod", {}).get("uid"),
            ),
        ),
        equal("its seconds", 600, token.get("exp", 0) - token.get("iat", 0)),
    )  # fmt: skip


@behaviour(
    "volumes/read-only-refuses-writes",
    says="A write to a volume that is mounted read-only fails.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_read_only_refuses_writes(filled: Watched, story: Tell) -> None:
    refused = "read-only file system"
    told = story(filled.seen.watched, filled.subject)
    told.must(
        contains("an error", refused, str(filled.told["to the fixed"].get("error"))),
        contains("an error for a secret's file", refused, str(filled.told["to the secret"].get("error"))),
        equal(
            "what was written by another mount, and the secret", ["outside\n", "somebody"],
            content(filled, "/fixed/outside", "/secret/user after"),
        ),
    )  # fmt: skip


@behaviour(
    "volumes/sub-path",
    says="A subPath mount shows only the named part of the volume.",
    kind=Kind.REQUIRED, needs={CONTROLLERS}, source=VOLUMES,
)  # fmt: skip
def test_sub_path(filled: Watched, story: Tell) -> None:
    told = story(filled.seen.watched, filled.subject)
    told.must(
        equal("the part", ["/part", "/part/inside"], plain(filled.told["/part"])),
        equal(
            "what was written by the whole, and then by the part", ["inside\n", "inside\nby the part\n"],
            content(filled, "/part/inside", "/whole/part/inside"),
        ),
        equal("a single key's file", ["/single", "/single/colour"], plain(filled.told["/single"])),
        equal("what it says", ["green"], content(filled, "/single/colour")),
    )  # fmt: skip
