"""Emulated nodes: machines with a kernel of their own, for what the host's kernel cannot mount.

Each is a qemu in the network namespace that its node would have had, at the node's own address, so that for
the control plane and the other nodes it is one more of them. Inside run the same containerd, kubelet and
kube-proxy, with configuration files of the same form at the same paths. The node carries a taint and labels
(model.needs), so that it takes only pods that ask for it: its processor is emulated, and slow.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubewitness.assets import Assets
from kubewitness.assets.store import Progress
from kubewitness.clusters import cpio, guest, network, runs
from kubewitness.clusters.api import Api, Waited, nodes
from kubewitness.clusters.components import Components
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.guest import Guest
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.nodes import is_ready, write_runtime
from kubewitness.model.cluster import ClusterSpec
from kubewitness.model.needs import EMULATED_TAINT, emulated_mounts

QEMU = "qemu-system-x86_64"
#: Half a minute on two idle cores, and several times that where others want them, too.
START_S = 600.0
_LOOK_S = 5.0
_MEMORY_MIB = 1024
TAINT = {"key": EMULATED_TAINT, "value": "true", "effect": "NoSchedule"}
#: What the kubelet of a slow machine with control groups of its own is told.
_SETTINGS = {"cgroupRoot": "/", "runtimeRequestTimeout": "15m"}
#: Each has a log among the cluster's, written through a serial port of this order (guest-node.sh).
_LOGGED = ("containerd", "kubelet", "kube-proxy")
_BOOT, _NODE = (Path(__file__).with_name(f"guest-{name}.sh") for name in ("boot", "node"))


@dataclass
class Emulated:
    """The emulated nodes of one cluster, which have the numbers after those of the others."""

    spec: ClusterSpec
    run: runs.Run
    parts: Components
    assets: Assets
    keeper: Keeper

    @property
    def numbers(self) -> range:
        return self.spec.all_nodes[self.spec.nodes :]

    def lay(self) -> dict[int, str]:
        """Makes their namespaces; returns the networks' paths for `ip`."""
        return {number: self.keeper.namespace(self.parts.node(number)) for number in self.numbers}

    def start(self, images_root: Path, progress: Progress) -> None:
        """Switches the machines on. Their components start as soon as they have booted."""
        if self.numbers:
            disks = guest.prepared(self.assets, images_root, progress)
            for number in self.numbers:
                self._switch_on(number, disks)

    def wait(self, api: Api) -> None:
        """Until each is Ready."""
        for number in self.numbers:
            self._wait(self.parts.node(number), api)

    def _switch_on(self, number: int, disks: Guest) -> None:
        node = self.parts.node(number)
        own = self.run.directory / "nodes" / node
        own.mkdir(parents=True)
        initramfs = own / "initramfs"
        initramfs.touch(0o600)  # it holds the node's keys
        initramfs.write_bytes(disks.initramfs.read_bytes() + cpio.archive(self._files(number)))
        program = shutil.which(QEMU)
        assert program is not None, "the doctor has found it"
        argv = [program, *machine(number, disks, initramfs, list(self._logs(node)))]
        # What the node writes to its disks goes into files that qemu makes here.
        self.keeper.spawn(f"qemu/{node}", argv, ns=node, env={"TMPDIR": str(own)})

    def _wait(self, node: str, api: Api) -> None:
        until = time.monotonic() + START_S
        while True:
            try:
                api.wait(nodes(), node, is_ready, within_s=_LOOK_S, what=f"{node} to be Ready")
                return
            except Waited as waited:
                if died := self.keeper.died():
                    raise ClusterError(died) from waited
                if time.monotonic() > until:
                    words = self.keeper.processes[f"qemu/{node}"].last_words()
                    raise ClusterError(f"{waited}; its console ends with:\n{words}") from waited

    def _logs(self, node: str) -> Iterator[Path]:
        for name in _LOGGED:
            yield self.run.directory / "logs" / f"{name}_{node}.log"

    def _files(self, number: int) -> Iterator[cpio.Entry]:
        """What is the cluster's and the node's own: configuration, keys, and how to start the components."""
        node, directory, own = self.parts.node(number), self.run.directory, f"nodes/{self.parts.node(number)}"
        yield cpio.file("init", _BOOT.read_bytes(), permissions=0o755)
        yield cpio.file("cluster/kubewitness/init", _NODE.read_bytes(), permissions=0o755)
        yield cpio.link(f"cluster{self.parts.binaries}", "/node/bin")
        for name, argv in self._components(number).items():
            script = f"#!/bin/sh\nPATH={self.parts.binaries}:$PATH\nexec {shlex.join(map(str, argv))}\n"
            yield cpio.file(f"cluster/kubewitness/{name}", script.encode(), permissions=0o755)
        links = "\n".join(network.node_links(number, self.spec.all_nodes)) + "\n"
        texts = {
            "kubewitness/links": links,
            "etc/hostname": f"{node}\n",
            "etc/hosts": f"127.0.0.1 localhost\n{network.node_address(number)} {node}\n",
            "etc/machine-id": f"{number:032x}\n",
            "etc/iscsi/initiatorname.iscsi": f"InitiatorName=iqn.2026-01.example.kubewitness:{node}\n",
        }
        for name, text in texts.items():
            yield cpio.file(f"cluster/{name}", text.encode())
        patterns = (
            "resolv.conf", "pki/ca.crt", f"pki/{node}.*", f"pki/{node}-*", f"kubeconfigs/{node}.json",
            f"kubeconfigs/{node}-proxy.json", f"{own}/*.json", f"{own}/*.toml", f"{own}/cni/*",
        )  # fmt: skip
        for file in (each for pattern in patterns for each in directory.glob(pattern)):
            yield cpio.file(f"cluster{file}", file.read_bytes(), permissions=0o600)

    def _components(self, number: int) -> dict[str, list[str | Path]]:
        """The command lines, whose configuration is written by asking for them."""
        own = self.run.directory / "nodes" / self.parts.node(number)
        toml = write_runtime(own, number, self.parts, self.assets, restricted=False)
        return {
            "containerd": [self.parts.binaries / "containerd", "--config", toml],
            "kubelet": self.parts.kubelet(number, [TAINT], _SETTINGS, emulated_mounts(self.spec.version)),
            "kube-proxy": self.parts.proxy(number),
        }


def machine(number: int, disks: Guest, initramfs: Path, logs: list[Path]) -> list[str]:
    """The arguments of qemu. Without KVM, which a host that is a virtual machine itself seldom has."""
    card = f"52:54:00:4b:57:{number:02x}"
    files = {"root": disks.root, "node": disks.node}
    return [
        "-accel", "tcg", "-machine", "pc", "-cpu", "qemu64", "-smp", "1", "-m", str(_MEMORY_MIB),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-kernel", str(disks.kernel), "-initrd", str(initramfs),
        # A machine that panics is switched off, since it may not boot again.
        "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
        *(
            option
            for name, disk in files.items()
            # With a snapshot the file itself is only read, by any number of machines.
            for option in ("-drive", f"if=virtio,format=raw,snapshot=on,id={name},file={_escaped(disk)}")
        ),
        "-netdev", "tap,id=network,ifname=tap0,script=no,downscript=no",
        "-device", f"virtio-net-pci,netdev=network,romfile=,mac={card}",
        "-device", "virtio-serial-pci",
        *(
            option
            for port, log in enumerate(logs, start=1)
            for option in (
                "-chardev", f"file,id=log{port},path={_escaped(log)}",
                "-device", f"virtserialport,nr={port},chardev=log{port}",
            )
        ),
    ]  # fmt: skip


def _escaped(path: Path) -> str:
    """A comma would end the value."""
    return str(path).replace(",", ",,")
