"""Mutants of volumes over the network: other things are on the servers, in the pods, and in the watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubewitness.checks.selecting import metadata
from tests.mutants.followed import Step, answered, followed, without
from tests.mutants.mutations import Mutation

RECORDING = "volumes-network-insecure-standard"
#: What no recording has: the in-tree plugin is gone since 1.26. The one for RBD was still in 1.30, so the
#: recording is of that version.
WITHOUT = {"volumes/glusterfs"}


def _mutant(name: str, kind: str, how: Step) -> Mutation:
    return Mutation(f"{kind}: {name}", f"volumes/{kind}", step=how, recording=RECORDING)


def _of(kind: str) -> Iterator[Mutation]:
    drive = f"volumes/on_{kind}"

    def held(was: bool, now: bool) -> Step:
        return answered(drive, f"held by {kind}", lambda _: now, lambda told: told is was)

    def user(step: str, users: list[str]) -> Step:
        return answered(drive, f"{step} {kind}", lambda _: users)

    def reader(what: str, answer: dict[str, Any]) -> Step:
        return answered(drive, f"/reader:8080/proxy/{what}", lambda _: answer)

    yield _mutant("what was written is not on the server", kind, held(was=True, now=False))
    yield _mutant("what was refused is on the server", kind, held(was=False, now=True))
    yield _mutant("nobody uses it while a pod has it", kind, user("users of", []))
    yield _mutant("it stays in use", kind, user("released by all,", ["10.77.0.14"]))
    yield _mutant("the next pod finds nothing", kind, reader("file", {"error": "no such file or directory"}))
    yield _mutant("a write to what is readOnly succeeds", kind, reader("append", {}))
    stays = without("DELETED", lambda pod: metadata(pod).get("name") == "reader")
    yield _mutant("a pod stays", kind, followed(drive, stays))


MUTATIONS = (*_of("nfs"), *_of("iscsi"), *_of("rbd"))
