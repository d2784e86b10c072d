"""Whether an engine of this host's can run nodes: a container is started as theirs are, and looked at."""

from __future__ import annotations

import io
import platform
import struct
import tarfile
from pathlib import Path
from typing import Final

from kubewitness.clusters import runs
from kubewitness.clusters.kind import host, leftovers
from kubewitness.clusters.kind.client import CLUSTER_LABEL, Client, Failed
from kubewitness.clusters.kind.containers import control_group
from kubewitness.clusters.kind.host import About, Unusable
from kubewitness.clusters.nodes import restricted
from kubewitness.model.cluster import EngineName

_PROGRAM: Final = "wait"
#: By the machine, as Python calls it: its number in ELF, and instructions that wait for a signal, forever.
_WAITING: Final = {
    "x86_64": (62, bytes.fromhex("b8220000000f05ebf7")),  # pause()
    "aarch64": (  # ppoll(0, 0, 0, 0)
        183, bytes.fromhex("000080d2010080d2020080d2030080d2280980d2010000d4faffff17"),
    ),
}  # fmt: skip
_OPTIONS: Final = ("--privileged", "--tmpfs=/tmp", "--tmpfs=/run", "--cgroupns=private", "--network=none")
_OF_DOCKER: Final = (
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--userns=host",
)


def probe(name: EngineName) -> About:
    """Unusable if the engine cannot be reached, is elsewhere, or starts no privileged container."""
    client = host.client(name)
    about = host.ask(client)
    if platform.machine() not in _WAITING:
        return about
    run = runs.create()
    try:
        _start(client, run, f"kw-probe-{run.id}")
    finally:
        run.remove()
    return about


def _start(client: Client, run: runs.Run, cluster: str) -> None:
    leftovers.record(run.directory, client, cluster)
    label = f"{CLUSTER_LABEL}={cluster}"
    try:
        image = client.call("import", f"--change=LABEL {label}", "-", stdin=_image()).split()[-1]
        more = _OF_DOCKER if client.name == EngineName.DOCKER else ()
        client.call(
            "run", "--detach", "--name", cluster, f"--label={label}", *_OPTIONS, *more, image, f"/{_PROGRAM}"
        )
    except Failed as error:
        raise _refused(client, error.words) from error
    found = client.inspect(cluster)
    process = Path("/proc", str(found["State"]["Pid"]))
    if not control_group(process, found["Id"]):
        raise host.elsewhere(client)


def _refused(client: Client, words: str) -> Unusable:
    found = f"it starts no privileged container, as kind's nodes are ({reason(words)})"
    if restricted():
        return Unusable(
            client.name, f"{found}: root of this host lacks the right CAP_SYS_RESOURCE",
            "use --engine own, whose runtime `clamp` does without it, or make such a runtime the default of"
            f" {client.name}, or give root that right",
        )  # fmt: skip
    advice = f"see that `{client.name} run --privileged` works, {host.OR_OWN}"
    return Unusable(client.name, found, advice)


def reason(words: str) -> str:
    """Of a client's last words, those that tell why it failed: no warnings, no hints."""
    lines = [line for line in words.splitlines() if line and not line.startswith(("time=", "Run '"))]
    return lines[0] if lines else words


def _image() -> bytes:
    """A tar archive with one program that does nothing, 130 bytes of it."""
    number, code = _WAITING[platform.machine()]
    base, head = 0x400000, 64 + 56
    elf = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        b"\x7fELF", 2, 1, 1, 0, 0, 2, number, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    size = head + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)  # read and executed
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        member = tarfile.TarInfo(_PROGRAM)
        member.size, member.mode = size, 0o755
        archive.addfile(member, io.BytesIO(elf + segment + code))
    return written.getvalue()
