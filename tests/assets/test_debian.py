"""Debian's packages by a made-up apt: unpacked beside the system, or refused with what apt said."""

import shutil
import sys
from pathlib import Path

import pytest

from kubewitness.assets import AssetError, debian

#: Its packages are plain tar files, which its dpkg-deb hands out as they are.
APT = """#!{python} -IS
import io, pathlib, sys, tarfile
settings = dict(each[2:].split("=", 1) for each in sys.argv if each.startswith("-o"))
if "unknown" in sys.argv:
    sys.exit("E: Unable to locate package unknown")
if "install" in sys.argv:
    assert pathlib.Path(settings["Dir::State::status"]).read_text() == ""
    for name, files in {packages!r}.items():
        with tarfile.open(pathlib.Path(settings["Dir::Cache"], "archives", name + ".deb"), "w") as archive:
            for path in files:
                member = tarfile.TarInfo(path)
                if path.endswith("/"):
                    member.type = tarfile.DIRTYPE
                member.mode = 0o755
                archive.addfile(member, io.BytesIO())
"""
DPKG_DEB = """#!{python} -IS
import shutil, sys
shutil.copyfileobj(open(sys.argv[2], "rb"), sys.stdout.buffer)
"""
PACKAGES = {
    "kmod": [
        "./",
        "./bin/",
        "./bin/kmod",
        "./usr/",
        "./usr/share/",
        "./usr/share/doc/",
        "./usr/share/doc/kmod",
    ],
    "udev": ["./", "./lib/", "./lib/udev/", "./lib/udev/rules"],
}


@pytest.fixture(autouse=True)
def apt(tmp_path: Path) -> None:
    tar = shutil.which("tar", path="/usr/bin:/bin")
    assert tar
    (tmp_path / "bin" / "tar").symlink_to(tar)
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG_DEB)):
        program = tmp_path / "bin" / name
        program.write_text(text.format(python=sys.executable, packages=PACKAGES))
        program.chmod(0o755)


def test_packages_share_the_folders_below_usr(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    debian.unpack(["kmod", "udev"], tree, tmp_path / "work", lambda _: None)
    assert (tree / "bin").is_symlink()
    assert (tree / "usr" / "bin" / "kmod").is_file()
    assert (tree / "usr" / "lib" / "udev" / "rules").is_file()


def test_what_nobody_reads_there_is_left_out(tmp_path: Path) -> None:
    debian.unpack(["kmod"], tmp_path / "tree", tmp_path / "work", lambda _: None)
    assert not (tmp_path / "tree" / "usr" / "share" / "doc").exists()


def test_what_apt_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="E: Unable to locate package unknown"):
        debian.unpack(["unknown"], tmp_path / "tree", tmp_path / "work", lambda _: None)
