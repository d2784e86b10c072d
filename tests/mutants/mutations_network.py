"""Mutants of volumes over the network: other things are on the servers, in the pods, and in the watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubewitness.checks.selecting import metadata
from tests.mutants.followed import Step, answered, followed, without
from tests.mutants.mutations import Mutation

#: The in-tree plugin for RBD was still in 1.30, so the recording is of that version. GlusterFS' is gone
#: since 1.26, so it is in one of 1.19.
RECORDING, OLD = "volumes-network-insecure-standard", "volumes-glusterfs-insecure-standard"


def _of(kind: str, recording: str = RECORDING) -> Iterator[Mutation]:
    drive = f"volumes/on_{kind}"

    def mutant(name: str, how: Step) -> Mutation:
        return Mutation(f"{kind}: {name}", f"volumes/{kind}", step=how, recording=recording)

    def held(was: bool, now: bool) -> Step:
        return answered(drive, f"held by {kind}", lambda _: now, lambda told: told is was)

    def user(step: str, users: list[str]) -> Step:
        return answered(drive, f"{step} {kind}", lambda _: users)

    def reader(what: str, answer: dict[str, Any]) -> Step:
        return answered(drive, f"/reader:8080/proxy/{what}", lambda _: answer)

    yield mutant("what was written is not on the server", held(was=True, now=False))
    yield mutant("what was refused is on the server", held(was=False, now=True))
    yield mutant("nobody uses it while a pod has it", user("users of", []))
    yield mutant("it stays in use", user("released by all,", ["10.77.0.14"]))
    yield mutant("the next pod finds nothing", reader("file", {"error": "no such file or directory"}))
    yield mutant("a write to what is readOnly succeeds", reader("append", {}))
    stays = without("DELETED", lambda pod: metadata(pod).get("name") == "reader")
    yield mutant("a pod stays", followed(drive, stays))


MUTATIONS = (*_of("nfs"), *_of("iscsi"), *_of("rbd"), *_of("glusterfs", OLD))
