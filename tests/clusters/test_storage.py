"""Servers of files and disks: what they are read by, and that each serves clients of its own protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewitness.clusters import network
from kubewitness.clusters.errors import ClusterError, HostLacks
from kubewitness.clusters.keeping import Keeper
from kubewitness.clusters.storage import Storage, ceph, gluster, iscsi, nfs, server
from kubewitness.clusters.storage.server import Connection

TABLE = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 0000000000000000FFFF000001004D0A:0801 00000000000000000000000000000000:0000 0A 00000000:00000000 00:
   1: 0000000000000000FFFF000001004D0A:0801 0000000000000000FFFF00000B004D0A:03E7 01 00000000:00000000 00:
   2: 0100007F:094B 0100007F:9C40 06 00000000:00000000 00:
"""
SESSIONS = """\
Session: 3
    Connection: 0
        Initiator: iqn.2010-11.libiscsi:iscsi-perf
        IP Address: 10.99.0.1
Session: 1
    Connection: 0
        Initiator: iqn.1993-08.org.debian:01:abc
        IP Address: 10.99.0.2
"""
WATCHED = """\
Watchers:
\twatcher=10.77.0.14:0/1466532063 client.4123 cookie=18446462598732840961
"""
CONNECTED = """\
Client connections for volume one
----------------------------------------------
Brick : 10.77.0.1:/brick
Clients connected : 1
Hostname                                               BytesRead    BytesWritten       OpVersion
--------                                               ---------    ------------       ---------
10.77.0.11:49148                                            4598            4526          100000
----------------------------------------------
"""


def test_rows_of_the_kernels_table_are_told_apart() -> None:
    assert list(server.connections(TABLE)) == [
        Connection(2049, "0.0.0.0", "0A"),  # noqa: S104 - what a listening socket has there
        Connection(2049, "10.77.0.11", "01"),
        Connection(2379, "127.0.0.1", "06"),
    ]


def test_users_are_read_from_what_the_servers_say() -> None:
    names = ["iqn.1993-08.org.debian:01:abc", "iqn.2010-11.libiscsi:iscsi-perf"]
    assert iscsi.initiators(SESSIONS) == names
    assert ceph.watchers(WATCHED) == ["10.77.0.14"]
    assert gluster.clients(CONNECTED) == ["10.77.0.11"]


def test_nobody_is_read_where_nobody_is() -> None:
    assert iscsi.initiators("") == []
    assert ceph.watchers("Watchers: none\n") == []
    assert gluster.clients("Clients connected : 0\n") == []


def test_a_server_that_is_not_installed_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(HostLacks, match=r"^ganesha.nfsd, .* install the package nfs-ganesha-vfs$"):
        server.find_program("ganesha.nfsd")


def with_programs(*names: str) -> pytest.MarkDecorator:
    """Servers and clients are real ones, which few hosts have."""
    lacking = [each for each in names if not shutil.which(each, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    lacking += [] if os.geteuid() == 0 else ["root"]
    return pytest.mark.skipif(bool(lacking), reason=f"this host lacks {', '.join(lacking)}")


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """The first process of a cluster that has nothing but a control plane's namespace."""
    keeper = Keeper.start(tmp_path)
    for name in ("lib", "log"):
        (tmp_path / name).mkdir()
    own = [(tmp_path / "lib", "/var/lib"), (tmp_path / "log", "/var/log")]
    keeper.namespace("cp", binds=own, tmpfs=["/run"])
    links = tmp_path / "links"
    address = f"address add {network.CONTROL_PLANE}/24 dev br0"
    links.write_text(f"link set lo up\nlink add br0 type bridge\n{address}\nlink set br0 up\n")
    keeper.run("links", [shutil.which("ip") or "/sbin/ip", "-batch", links], ns="cp")
    yield keeper
    keeper.close()


def say(keeper: Keeper, *argv: object) -> str:
    """What a client's program says, run beside the servers."""
    told = keeper.directory / "said"
    keeper.run("client", [shutil.which(str(argv[0])), *argv[1:]], ns="cp", stdout=told)
    return told.read_text()


@with_programs("ganesha.nfsd", "nfs-cp", "nfs-cat")
def test_nfs_is_served(keeper: Keeper, tmp_path: Path) -> None:
    nfs = Storage(tmp_path, keeper).server("nfs")
    source, other = nfs.offer().source, nfs.offer().source
    mine, theirs = tmp_path / "mine", f"nfs://{source['server']}{source['path']}/words?version=4"
    mine.write_text("from a client")
    say(keeper, "nfs-cp", mine, theirs)
    assert say(keeper, "nfs-cat", theirs) == "from a client"
    assert nfs.holds(source, "from a client")
    assert not nfs.holds(other, "from a client")
    assert nfs.users(source) == []


@with_programs("tgtd", "tgtadm", "iscsi-ls", "iscsi-inq")
def test_iscsi_is_served(keeper: Keeper, tmp_path: Path) -> None:
    iscsi = Storage(tmp_path, keeper).server("iscsi")
    source, other = iscsi.offer().source, iscsi.offer().source
    url = f"iscsi://{source['targetPortal']}"
    listed = say(keeper, "iscsi-ls", "-s", url)
    assert all(f"Target:{each['iqn']}" in listed for each in (source, other))
    assert "DIRECT_ACCESS" in say(keeper, "iscsi-inq", f"{url}/{source['iqn']}/{source['lun']}")
    assert iscsi.users(source) == []
    with (tmp_path / "iscsi" / "disk1").open("r+b") as disk:
        disk.seek(1 << 20)
        disk.write(b"words")
    assert iscsi.holds(source, "words")
    assert not iscsi.holds(other, "words")


@with_programs("ceph-mon", "ceph-osd", "rbd")
def test_rbd_is_served(keeper: Keeper, tmp_path: Path) -> None:
    ceph = Storage(tmp_path, keeper).server("rbd")
    source = ceph.offer().source
    (tmp_path / "mine").write_text("from a client")
    of = ("rbd", "-c", tmp_path / "rbd" / "ceph.conf")
    say(keeper, *of, "import", tmp_path / "mine", f"{source['pool']}/other")
    assert ceph.holds({**source, "image": "other"}, "from a client")
    assert not ceph.holds(source, "from a client")
    assert ceph.users(source) == []


@with_programs("glusterd", "gluster", "mount.glusterfs")
def test_glusterfs_is_served(keeper: Keeper, tmp_path: Path) -> None:
    gluster = Storage(tmp_path, keeper).server("glusterfs")
    source, place = gluster.offer().source, tmp_path / "mounted"
    place.mkdir()
    say(keeper, "mount", "-t", "glusterfs", f"{network.CONTROL_PLANE}:{source['path']}", place)
    assert gluster.users(source) == [network.CONTROL_PLANE]
    (tmp_path / "words").write_text("from a client")
    say(keeper, "cp", tmp_path / "words", place)
    assert gluster.holds(source, "from a client")
    say(keeper, "umount", place)
    assert gluster.users(source) == []


@with_programs("ganesha.nfsd")
def test_a_server_that_ends_at_once_says_why(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nfs, "configuration", lambda *_: "NFS_CORE_PARAM { Bind_addr = nowhere; }")
    with pytest.raises(ClusterError, match=r"^ganesha.nfsd does not listen on port 2049:") as found:
        Storage(tmp_path, keeper).server("nfs")
    assert "Expected an IP address" in str(found.value)
    assert not keeper.died()
