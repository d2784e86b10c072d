"""An engine of the host's: what is asked of it, told of it, and removed from it. Programs stand in for it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.clusters import doctor, runs
from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.kind import host, leftovers, probing
from kubewitness.clusters.kind.client import Client, bound
from kubewitness.clusters.kind.containers import control_group
from kubewitness.clusters.kind.engine import Archive, made_of
from kubewitness.clusters.kind.host import HostEngine, Unusable
from kubewitness.model.cluster import ClusterSpec, EngineName, Provider, Setup, Topology, unique_name

DOCKER, PODMAN = EngineName.DOCKER, EngineName.PODMAN
ABOUT = {"ServerVersion": "20.10.24", "DefaultRuntime": "runc", "SecurityOptions": ["name=seccomp"]}
ABOUT_PODMAN: dict[str, dict[str, Any]] = {
    "host": {"serviceIsRemote": False, "security": {"rootless": False}, "ociRuntime": {"name": "crun"}},
    "version": {"Version": "4.3.1"},
}
ID = "9574fe36e00f8eb9418e831c28a7a158cf67bcd405bfeeb3a68bdb40ee4b0fc7"


class Stub:
    """A program that notes how it is called and answers by the beginnings of its arguments."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.client = Client(directory / name, {"PATH": "/usr/bin:/bin", "HOME": str(directory)})
        self._cases: list[str] = []
        self.answers()

    def answers(self, *cases: tuple[str, str, int]) -> None:
        """Each: how the call begins, what is printed (on standard error if it fails), the status."""
        lines = [
            f"case \"$*\" in '{begin}'*) echo '{text}' >&{2 if status else 1}; exit {status} ;; esac"
            for begin, text, status in cases
        ]
        script = ["#!/bin/sh", f'echo "$*" >> {self.directory}/calls', *lines, "exit 0", ""]
        self.client.program.write_text("\n".join(script))
        self.client.program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.directory / "calls").read_text().splitlines()


@pytest.fixture
def docker(tmp_path: Path) -> Stub:
    return Stub(tmp_path, DOCKER)


@pytest.fixture
def podman(tmp_path: Path) -> Stub:
    return Stub(tmp_path, PODMAN)


def informed(about: dict[str, Any]) -> tuple[str, str, int]:
    return ("info", json.dumps(about), 0)


def test_an_engine_tells_what_it_is(docker: Stub, podman: Stub) -> None:
    docker.answers(informed(ABOUT))
    podman.answers(informed(ABOUT_PODMAN))
    assert host.ask(docker.client) == host.About("20.10.24", "runc")
    assert host.ask(podman.client) == host.About("4.3.1", "crun")


def test_an_engine_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(Unusable, match=r"there is no podman on PATH; install podman, or use --engine own"):
        host.client(PODMAN)


def test_of_the_environment_only_what_chooses_the_engine_is_passed_on(
    docker: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(docker.directory))
    monkeypatch.setenv("DOCKER_HOST", "unix:///it")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")  # kind would give it to every node
    found = host.client(DOCKER)
    assert found.program == docker.client.program
    assert found.environment["DOCKER_HOST"] == "unix:///it"
    assert found.environment["PATH"] == f"{docker.directory}:/usr/sbin:/sbin"
    assert "HTTPS_PROXY" not in found.environment


@pytest.mark.parametrize(
    "answer",
    [
        ("info", "Cannot connect to the Docker daemon", 1),
        informed(ABOUT | {"ServerErrors": ["Cannot connect to the Docker daemon"]}),
    ],
    ids=["status", "told"],
)
def test_an_engine_that_cannot_be_reached(docker: Stub, answer: tuple[str, str, int]) -> None:
    docker.answers(answer)
    reached = Client(docker.client.program, {**docker.client.environment, "DOCKER_HOST": "unix:///it"})
    with pytest.raises(
        Unusable, match=r"the engine at unix:///it cannot be reached: Cannot connect .*; start it"
    ):
        host.ask(reached)


def test_engines_whose_nodes_could_not_be_observed(docker: Stub, podman: Stub) -> None:
    docker.answers(informed(ABOUT | {"SecurityOptions": ["name=seccomp", "name=rootless"]}))
    with pytest.raises(Unusable, match="the engine is rootless"):
        host.ask(docker.client)
    docker.answers(informed(ABOUT_PODMAN))
    with pytest.raises(Unusable, match=r"docker is Podman's; use --engine podman"):
        host.ask(docker.client)
    remote = ABOUT_PODMAN | {"host": {**ABOUT_PODMAN["host"], "serviceIsRemote": True}}
    podman.answers(informed(remote))
    with pytest.raises(Unusable, match="is not on this host, where its nodes' networks could be captured"):
        host.ask(podman.client)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[runs.Run]:
    monkeypatch.setenv("KUBEWITNESS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(runs, "CGROUPS", tmp_path / "no-cgroups")
    (tmp_path / "no-cgroups" / "cgroup.controllers").mkdir(parents=True)
    made = runs.create()
    yield made
    made.remove()


STARTING = (("import", f"sha256:{ID}", 0), ("run", ID, 0), ("container inspect", "", 0))


@pytest.mark.parametrize(
    ("lacking", "wanted"),
    [
        (True, "lacks the right CAP_SYS_RESOURCE; use --engine own, whose runtime `clamp` does without it"),
        (False, "see that `docker run --privileged` works, or use --engine own"),
    ],
)
@pytest.mark.usefixtures("run")
def test_an_engine_that_starts_no_nodes_here(
    docker: Stub, monkeypatch: pytest.MonkeyPatch, lacking: bool, wanted: str
) -> None:
    words = "docker: Error response from daemon: unable to apply caps.\n\nRun docker run --help"
    docker.answers(informed(ABOUT), STARTING[0], ("run", words, 125))
    monkeypatch.setattr(host, "client", lambda _: docker.client)
    monkeypatch.setattr(probing, "restricted", lambda: lacking)
    with pytest.raises(Unusable, match=r"no privileged container.*unable to apply caps") as raised:
        probing.probe(DOCKER)
    assert wanted in str(raised.value)
    assert [run.id for run in runs.all_runs() if (run.directory / "engine.json").exists()] == []


@pytest.mark.usefixtures("run")
def test_an_engine_whose_processes_are_not_those_of_this_host(
    docker: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.dumps([{"Id": ID, "State": {"Pid": os.getpid()}}])
    docker.answers(informed(ABOUT), *STARTING[:2], ("container inspect", found, 0))
    monkeypatch.setattr(host, "client", lambda _: docker.client)
    with pytest.raises(Unusable, match="is not on this host"):
        probing.probe(DOCKER)


@pytest.mark.usefixtures("run")
def test_an_engine_that_runs_nodes_is_left_as_it_was(docker: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.dumps([{"Id": ID, "State": {"Pid": os.getpid()}}])
    listed = ("image ls", ID, 0)
    docker.answers(informed(ABOUT), *STARTING[:2], ("container inspect", found, 0), listed)
    monkeypatch.setattr(host, "client", lambda _: docker.client)
    monkeypatch.setattr(probing, "control_group", lambda *_: "docker/it")
    assert probing.probe(DOCKER).version == "20.10.24"
    assert docker.calls[-1] == f"rmi --force {ID}"


def test_the_container_that_is_tried_runs_a_program_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(probing._image())
    with tarfile.open(tmp_path / "image.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    with subprocess.Popen([tmp_path / "wait"]) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.2)
        waiting.terminate()
    assert waiting.returncode == -signal.SIGTERM


def test_why_a_container_does_not_start_is_neither_a_warning_nor_a_hint() -> None:
    words = "time=1 level=warning msg=it\nError: setrlimit: not permitted\n\nRun 'docker run --help'"
    assert probing.reason(words) == "Error: setrlimit: not permitted"
    assert probing.reason("") == ""


@pytest.mark.parametrize(
    ("line", "group"),
    [
        (f"8:pids:/docker/{ID}", f"docker/{ID}"),
        (f"0::/system.slice/docker-{ID}.scope/init.scope", f"system.slice/docker-{ID}.scope"),
        (f"0::/machine.slice/libpod-{ID}.scope/container/init.scope", f"machine.slice/libpod-{ID}.scope"),
        (f"9:name=systemd:/libpod_parent/libpod-{ID}/init.scope", f"libpod_parent/libpod-{ID}"),
        ("8:pids:/docker/another", ""),
    ],
)
def test_a_containers_control_group_is_where_its_engine_put_it(tmp_path: Path, line: str, group: str) -> None:
    (tmp_path / "cgroup").write_text(f"12:cpu:/\n{line}\n")
    assert control_group(tmp_path, ID) == group


def test_what_has_ended_is_in_no_control_group(tmp_path: Path) -> None:
    assert control_group(tmp_path, ID) == ""


IMAGE = {
    "RepoTags": ["localhost/kubewitness/node:v1.37.2"],
    "RootFS": {"Layers": ["sha256:1"]},
    "Config": {"Entrypoint": ["/it"]},
}


def archive(file: Path = Path("node.tar"), layer: str = "sha256:1") -> Archive:
    return Archive(file, "kubewitness/node:v1.37.2", "c0ffee", made_of([layer], {"Entrypoint": ["/it"]}))


def test_an_engine_that_has_the_image_is_not_given_it_again(podman: Stub) -> None:
    podman.answers(("image inspect c0ffee", json.dumps([IMAGE]), 0))
    said: list[str] = []
    assert host.load(podman.client, archive(), said.append) == "localhost/kubewitness/node:v1.37.2"
    assert said == ["this host's podman has the node image localhost/kubewitness/node:v1.37.2"]
    assert podman.calls == ["image inspect c0ffee"]


def test_an_engine_that_has_another_image_of_that_name_loads_this_one(docker: Stub) -> None:
    docker.answers(
        ("image inspect c0ffee", "no such image", 1),
        ("image inspect kubewitness", json.dumps([IMAGE]), 0),
    )
    with pytest.raises(ClusterError, match=r"has loaded node\.tar, but has no image"):
        host.load(docker.client, archive(layer="sha256:2"), lambda _: None)
    assert "load --input node.tar" in docker.calls


def test_an_image_whose_name_another_one_took_is_given_it_again(docker: Stub) -> None:
    """Of one version there is an image with more in it, and one with less: neither is loaded again."""
    another, nameless = {**IMAGE, "RootFS": {"Layers": ["sha256:2"]}}, {**IMAGE, "RepoTags": []}
    docker.answers(
        ("image inspect c0ffee", json.dumps([nameless]), 0),
        ("image inspect kubewitness", json.dumps([another]), 0),
    )
    text = docker.client.program.read_text()
    again = f"[ -e named ] && echo '{json.dumps([IMAGE])}' && exit 0"
    cases = f'"tag "*) touch named ;; "image inspect kubewitness"*) {again} ;;'
    taking = f'#!/bin/sh\ncd {docker.directory}\ncase "$*" in {cases} esac'
    docker.client.program.write_text(text.replace("#!/bin/sh", taking))
    assert host.load(docker.client, archive(), lambda _: None) == "localhost/kubewitness/node:v1.37.2"
    assert "tag c0ffee kubewitness/node:v1.37.2" in docker.calls
    assert not [each for each in docker.calls if each.startswith("load")]


@pytest.mark.parametrize("status", [0, 1])
def test_how_kind_ended_and_what_it_said(run: runs.Run, docker: Stub, status: int) -> None:
    (run.directory / "logs").mkdir()
    made = HostEngine(docker.client, "kw-tls-1", "image", host.About("20", "runc"))
    kind = ("/bin/sh", "-c", f'echo "$KIND_EXPERIMENTAL_DOCKER_NETWORK"; exit {status}')
    assert made.run(kind, run.directory, 10) == status
    assert (run.directory / "logs" / "kind.log").read_text() == "kw-tls-1\n"


def test_a_kind_that_does_not_end_is_ended(run: runs.Run, docker: Stub) -> None:
    (run.directory / "logs").mkdir()
    made = HostEngine(docker.client, "kw-tls-1", "image", host.About("20", "runc"))
    with pytest.raises(ClusterError, match=r"waited 0\.5 s for kind to end; its log ends with:\n    making"):
        made.run(("/bin/sh", "-c", "echo making; exec sleep 1000"), run.directory, 0.5)


def test_nodes_that_join_are_made_in_kinds_manner(docker: Stub, podman: Stub) -> None:
    podman.answers(("volume create --label=kw-tls-1-joined1=true", "volume", 0))
    made = HostEngine(podman.client, "kw-tls-1", "image", host.About("4", "crun"))
    assert made.node_options("kw-tls-1-joined1")[0] == "--volume=volume:/var:suid,exec,dev"
    made = HostEngine(docker.client, "kw-tls-1", "image", host.About("20", "runc"))
    assert "--volume=/var" in made.node_options("kw-tls-1-joined1")


def test_clusters_in_one_engine_have_names_of_their_own() -> None:
    names = {unique_name(PODMAN, Setup.TLS) for _ in range(9)}
    assert len(names) == 9
    assert unique_name(EngineName.OWN, Setup.TLS) == ""
    spec = ClusterSpec(
        "1.37.2", Provider.KIND, Setup.TLS, Topology.STANDARD, 2, engine=PODMAN, named="kw-tls-1"
    )
    assert spec.node_names == ("kw-tls-1-worker", "kw-tls-1-worker2")


def test_what_a_dead_run_has_in_an_engine_is_removed(run: runs.Run, docker: Stub) -> None:
    listing = (
        'if [ "$1" = ps ] && [ ! -e removed ]; then echo a1; echo b2; fi\n[ "$1" = rm ] && touch removed'
    )
    docker.answers(("network ls", "kw-tls-1\nkw-tls-12", 0))
    text = docker.client.program.read_text().replace(
        "\nexit 0", f"\ncd {docker.directory}\n{listing}\nexit 0"
    )
    docker.client.program.write_text(text)
    leftovers.record(run.directory, docker.client, "kw-tls-1")
    (run.directory / "owner").write_text("1 0")
    assert runs.sweep() == [
        f"run {run.id}: files, control groups, link, containers of kw-tls-1 in docker",
    ]
    assert not run.directory.exists()
    label = "--filter=label=io.x-k8s.kind.cluster=kw-tls-1"
    assert docker.calls == [
        f"ps --all --quiet {label}", "rm --force --volumes a1 b2", f"ps --all --quiet {label}",
        "network ls --format={{.Name}} --filter=name=kw-tls-1", "network rm kw-tls-1",
        f"image ls --quiet {label}",
    ]  # fmt: skip


def test_what_an_engine_does_not_give_up_is_left_for_the_next_time(run: runs.Run, docker: Stub) -> None:
    docker.answers(("ps", "Cannot connect to the Docker daemon", 1))
    leftovers.record(run.directory, docker.client, "kw-tls-1")
    (run.directory / "owner").write_text("1 0")
    said: list[str] = []
    other = runs.create(said.append)
    other.remove()
    assert run.directory.exists()
    assert "containers of kw-tls-1 may be left in this host's docker: docker ps" in said[0]
    docker.answers()
    assert runs.sweep() != []
    assert not run.directory.exists()


def test_what_never_ends_to_come_is_told(run: runs.Run, docker: Stub) -> None:
    docker.answers(("ps", "a1", 0))
    leftovers.record(run.directory, docker.client, "kw-tls-1")
    with pytest.raises(leftovers.NotRemoved, match="again and again"):
        leftovers.remove(run.directory)
    docker.answers()


def test_a_container_that_ends_late_is_waited_for_and_removed(run: runs.Run, docker: Stub) -> None:
    """The engine refuses to remove it until it has been waited for."""
    listing = (
        'if [ "$1" = ps ] && [ ! -e removed ]; then echo a1; fi\n'
        '[ "$1" = wait ] && touch ended\n'
        'if [ "$1" = rm ]; then [ -e ended ] || { echo "Could not kill" >&2; exit 1; }; touch removed; fi'
    )
    text = docker.client.program.read_text().replace(
        "\nexit 0", f"\ncd {docker.directory}\n{listing}\nexit 0"
    )
    docker.client.program.write_text(text)
    leftovers.record(run.directory, docker.client, "kw-tls-1")
    leftovers.remove(run.directory)
    assert [each.split()[0] for each in docker.calls][:6] == ["ps", "rm", "ps", "wait", "ps", "rm"]


def test_podmans_volumes_are_those_of_the_nodes() -> None:
    volumes: dict[str, dict[str, str]] = {
        "a": {"kw-tls-1-worker": "true"}, "b": {"kw-tls-12-worker": "true"}, "c": {},
    }  # fmt: skip
    assert leftovers.owned("kw-tls-1", volumes) == ["a"]


def test_a_bound_command_ends_with_its_standard_input_and_all_that_it_started(tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; echo started; wait"
    running = subprocess.Popen(
        bound(["sh", "-c", script]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stdout.readline() == b"started\n"
    grandchild = os.pidfd_open(int((tmp_path / "pid").read_text()))
    running.stdin.close()
    assert running.wait(10) == 128 + signal.SIGTERM
    assert select.select([grandchild], [], [], 0)[0]
    os.close(grandchild)
    running.stdout.close()


def test_what_a_bound_command_is_still_making_is_not_removed_under_its_hands(
    run: runs.Run, docker: Stub, tmp_path: Path
) -> None:
    leftovers.record(run.directory, docker.client, "kw-tls-1")
    script = f"trap 'sleep 0.3; date +%s%N > {tmp_path}/made; exit' TERM; echo started; sleep 1000 & wait"
    with leftovers.making(run.directory) as lock:
        running = subprocess.Popen(
            bound(["sh", "-c", script]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, pass_fds=[lock],
        )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stdout.readline() == b"started\n"
    running.stdin.close()
    leftovers.remove(run.directory)
    assert int((tmp_path / "made").read_text()) < (tmp_path / "calls").stat().st_mtime_ns
    running.wait()
    running.stdout.close()


@pytest.mark.parametrize("status", [0, 3])
def test_a_bound_command_that_ends_by_itself_tells_its_status(status: int) -> None:
    with subprocess.Popen(
        bound(["sh", "-c", f"exit {status}"]), stdin=subprocess.PIPE, start_new_session=True
    ) as running:
        assert running.wait(10) == status


def test_the_doctor_tells_of_engines_that_need_not_be_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unusable(name: EngineName) -> host.About:
        raise Unusable(name, "it is away", "fetch it")

    monkeypatch.setattr(doctor, "probe", unusable)
    assert doctor._engine(DOCKER) == doctor.Finding("--engine docker", "it is away", "fetch it")
    assert doctor._choice(DOCKER) == doctor.Finding(
        "--engine docker", "cannot be chosen: it is away; fetch it"
    )
