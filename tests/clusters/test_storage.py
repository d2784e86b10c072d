"""Servers of files and disks: what is read of them, and that each serves clients of its own protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.clusters import network, storage
from kubewitness.clusters.errors import ClusterError, HostLacks
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.storage import Connection, Storage

CLIENTS = ("nfs-ls", "nfs-cp", "nfs-cat", "iscsi-ls", "iscsi-inq")
missing = [each for each in (*storage.PACKAGES, *CLIENTS) if not shutil.which(each)]
serving = pytest.mark.skipif(
    os.geteuid() != 0 or bool(missing), reason=f"needs root, and on PATH: {', '.join(missing) or 'all is'}"
)

TABLE = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 0000000000000000FFFF000001004D0A:0801 00000000000000000000000000000000:0000 0A 00000000:00000000 00:
   1: 0000000000000000FFFF000001004D0A:0801 0000000000000000FFFF00000B004D0A:03E7 01 00000000:00000000 00:
   2: 0100007F:094B 0100007F:9C40 06 00000000:00000000 00:
"""
TOLD = """\
Session: 3
    Connection: 0
        Initiator: iqn.2010-11.libiscsi:iscsi-perf
        IP Address: 10.99.0.1
Session: 1
    Connection: 0
        Initiator: iqn.1993-08.org.debian:01:abc
        IP Address: 10.99.0.2
"""


def test_rows_of_the_kernels_table_are_told_apart() -> None:
    assert list(storage.connections(TABLE)) == [
        Connection(2049, "0.0.0.0", "0A"),  # noqa: S104 - what a listening socket has there
        Connection(2049, "10.77.0.11", "01"),
        Connection(2379, "127.0.0.1", "06"),
    ]


def test_every_initiator_is_named() -> None:
    names = ["iqn.1993-08.org.debian:01:abc", "iqn.2010-11.libiscsi:iscsi-perf"]
    assert storage.initiators(TOLD) == names
    assert storage.initiators("") == []


def test_a_server_that_is_not_installed_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(HostLacks, match=r"^ganesha.nfsd serves .* install the package nfs-ganesha-vfs$"):
        storage.find_program("ganesha.nfsd")


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """The first process of a cluster that has nothing but a control plane's namespace."""
    keeper = Keeper.start(tmp_path)
    keeper.namespace("cp", tmpfs=["/run"])
    links = tmp_path / "links"
    address = f"address add {network.CONTROL_PLANE}/24 dev br0"
    links.write_text(f"link set lo up\nlink add br0 type bridge\n{address}\nlink set br0 up\n")
    keeper.run("links", [shutil.which("ip") or "/sbin/ip", "-batch", links], ns="cp")
    yield keeper
    keeper.close()


def say(keeper: Keeper, *argv: object) -> str:
    """What a program of a client says, run beside the servers."""
    told = keeper.directory / "said"
    program = shutil.which(str(argv[0]))
    keeper.run("client", [program, *argv[1:]], ns="cp", stdout=told)
    return told.read_text()


@serving
def test_nfs_is_served(keeper: Keeper, tmp_path: Path) -> None:
    servers = Storage(tmp_path / "storage", keeper)
    source, other = servers.nfs().export(), servers.nfs().export()
    mine, url = tmp_path / "mine", f"nfs://{source['server']}{source['path']}"
    mine.write_text("from a client")
    say(keeper, "nfs-cp", mine, f"{url}/words?version=4")
    assert say(keeper, "nfs-cat", f"{url}/words?version=4") == "from a client"
    assert servers.nfs().file(source["path"], "words") == "from a client"
    assert servers.nfs().file(other["path"], "words") is None
    assert servers.nfs().clients() == []


@serving
def test_a_disk_is_served(keeper: Keeper, tmp_path: Path) -> None:
    servers = Storage(tmp_path / "storage", keeper)
    source, other = servers.iscsi().target(1), servers.iscsi().target(2)
    url = f"iscsi://{source['targetPortal']}"
    listed = say(keeper, "iscsi-ls", "-s", url)
    assert f"Target:{source['iqn']}" in listed
    assert f"Target:{other['iqn']}" in listed
    assert "DIRECT_ACCESS" in say(keeper, "iscsi-inq", f"{url}/{source['iqn']}/{source['lun']}")
    assert servers.iscsi().initiators(str(source["iqn"])) == []
    assert not servers.iscsi().holds(str(source["iqn"]), "words")
    with (tmp_path / "storage" / "iscsi" / "disk1").open("r+b") as disk:
        disk.seek(1 << 19)
        disk.write(b"words")
    assert servers.iscsi().holds(str(source["iqn"]), "words")
    assert not servers.iscsi().holds(str(other["iqn"]), "words")


@serving
def test_a_server_that_ends_at_once_says_why(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "ganesha", lambda *_: "NFS_CORE_PARAM { Bind_addr = nowhere; }")
    with pytest.raises(ClusterError, match=r"^ganesha.nfsd does not listen on port 2049:") as found:
        Storage(tmp_path, keeper).nfs()
    assert "Expected an IP address" in str(found.value)
