"""What a run has in a container engine of the host's, which outlives the run: recorded first, removed last.

The run's directory tells the engine and the cluster's name before anything is
made there, so that whoever finds the run dead can remove what it left.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kubewitness.clusters.errors import ClusterError
from kubewitness.clusters.kind.client import CLUSTER_LABEL, Client, Failed

_RECORD, _MAKING = "engine.json", "making.lock"
#: With these its user chooses the engine that a client reaches.
CHOOSING = (
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF",
    "CONTAINER_HOST", "CONTAINER_CONNECTION", "STORAGE_DRIVER", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
    "XDG_DATA_HOME", "TMPDIR", "HOME", "PATH",
)  # fmt: skip
_ROUNDS = 5


class NotRemoved(ClusterError):
    """The engine does not let what is there be removed, or cannot be reached."""


def record(directory: Path, client: Client, cluster: str) -> None:
    """Into a run's directory: the run is about to make this cluster in the engine of ``client``."""
    environment = {name: client.environment[name] for name in CHOOSING if name in client.environment}
    content = {"program": str(client.program), "environment": environment, "cluster": cluster}
    # Whoever finds the run dead finds all of it or nothing.
    written = directory / f".{_RECORD}"
    written.write_text(json.dumps(content))
    written.rename(directory / _RECORD)


@contextmanager
def making(directory: Path) -> Iterator[int]:
    """A file descriptor: nothing is removed as long as a process that has inherited it lives."""
    with (directory / _MAKING).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def told(directory: Path) -> str:
    """For a list of what there is of a run; "" if it made nothing in an engine of the host's."""
    file = directory / _RECORD
    if not file.exists():
        return ""
    recorded = json.loads(file.read_text())
    return f", containers of {recorded['cluster']} in {Path(recorded['program']).name}"


def remove(directory: Path) -> None:
    """Removes what the run of this directory made in a host's engine, if anything."""
    file = directory / _RECORD
    if not file.exists():
        return
    recorded = json.loads(file.read_text())
    client, cluster = Client(Path(recorded["program"]), recorded["environment"]), recorded["cluster"]
    try:
        with making(directory):
            _remove(client, cluster)
    except (ClusterError, OSError) as error:
        raise NotRemoved(
            f"containers of {cluster} may be left in this host's {client.name}: {error}; once"
            f" `{client.name} ps` works, `kubewitness clean` removes them (if that engine is gone for good,"
            f" delete {directory} instead)"
        ) from error
    file.unlink()


def _remove(client: Client, cluster: str) -> None:
    label = f"--filter=label={CLUSTER_LABEL}={cluster}"
    forced = ["--force", "--volumes", *(["--time=0"] if client.name == "podman" else [])]
    # A client that was killed may have asked for one more that the engine is still making. And on a busy host
    # Docker gives up on a container that ends later than ten seconds after it was killed.
    reason = ClusterError(f"it has containers of {cluster} again and again")
    for _ in range(_ROUNDS):
        containers = client.lines("ps", "--all", "--quiet", label)
        if not containers:
            break
        try:
            client.call("rm", *forced, *containers)
        except Failed as error:
            reason = error
            _wait_for_ends(client, label)
    else:
        raise reason
    if client.name == "podman" and (volumes := owned(cluster, _volumes(client))):
        client.call("volume", "rm", "--force", *volumes)
    # Both engines' filter takes any network whose name has the given one in it.
    listed = client.lines("network", "ls", "--format={{.Name}}", f"--filter=name={cluster}")
    if cluster in listed:
        client.call("network", "rm", cluster)
    if images := client.lines("image", "ls", "--quiet", label):
        client.call("rmi", "--force", *images)


def _wait_for_ends(client: Client, label: str) -> None:
    if running := client.lines("ps", "--quiet", label):
        with suppress(Failed):  # one has been removed meanwhile, which the next look will show
            client.call("wait", *running)


def _volumes(client: Client) -> dict[str, Mapping[str, str]]:
    """The labels of Podman's volumes, by their names."""
    listed = json.loads(client.call("volume", "ls", "--format=json") or "null") or []
    return {each["Name"]: each.get("Labels") or {} for each in listed}


def owned(cluster: str, volumes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Those that kind made for the nodes of a cluster: with Podman, a node's name is a label's."""
    return [name for name, labels in volumes.items() if any(key.startswith(f"{cluster}-") for key in labels)]
