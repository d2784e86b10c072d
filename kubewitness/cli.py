"""The ``kubewitness`` command."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubewitness import __version__
from kubewitness.assets import ALL, EXTRA, KIND, SIMULATED, AssetError, UnknownVersion, resolve
from kubewitness.assets import command as assets_command
from kubewitness.assets.recipes import MINORS
from kubewitness.assets.versions import parse
from kubewitness.capture import command as wire_command
from kubewitness.catalogue import command as catalogue_command
from kubewitness.clusters import doctor, existing, runs
from kubewitness.clusters.errors import ClusterError, UsageError
from kubewitness.clusters.forward import LOOPBACK
from kubewitness.clusters.kept import KeptCluster
from kubewitness.clusters.kind.cluster import KindCluster
from kubewitness.clusters.local import LocalCluster
from kubewitness.clusters.mounting import mountable
from kubewitness.clusters.nodeimage import command as images_command
from kubewitness.matrix import nightly
from kubewitness.matrix import report_command as matrix_report_command
from kubewitness.model.cluster import ClusterSpec, EngineName, Provider, Setup, Topology, unique_name
from kubewitness.reporting import command as report_command

EXIT_USAGE, EXIT_NO_CLUSTER = 2, 3
ROOT = Path(__file__).parents[1]
MEASURING = "latency"  # the area that measures
_EXIT_CODES = "exit codes: 0 passed, 1 a behaviour is broken, 2 usage, 3 no cluster, 4 inconclusive"
_VERSIONS = (
    f"of Kubernetes: {MINORS[0]}, {MINORS[1]} to {MINORS[-1]}, or an exact one (default: {MINORS[-1]})"
)
Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse names the type no other way


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="kubewitness",
        description="Brings up real Kubernetes clusters, watches what their parts say to each other, and"
        " proves from that evidence that they behave as Kubernetes promises.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"kubewitness {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(subparsers)
    _add_replay(subparsers)
    _add_clusters(subparsers)
    assets_command.add_parser(subparsers)
    images_command.add_parser(subparsers)
    catalogue_command.add_parser(subparsers)
    wire_command.add_parser(subparsers)
    report_command.add_parser(subparsers)
    nightly.add_parser(subparsers)
    matrix_report_command.add_parser(subparsers)
    namespace, rest = parser.parse_known_args(arguments)
    if rest and not getattr(namespace, "passes_on", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    namespace.rest = rest
    try:
        return int(namespace.run(namespace))
    except (UsageError, UnknownVersion) as error:
        return _fail(error, EXIT_USAGE)
    except (ClusterError, AssetError) as error:
        return _fail(error, EXIT_NO_CLUSTER)
    except KeyboardInterrupt:
        print("interrupted; nothing was left behind", file=sys.stderr)
        return 130


def _fail(error: Exception, code: int) -> int:
    print(f"kubewitness: {error}", file=sys.stderr)
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _add_run(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "run",
        help="bring clusters up, judge them, write the report",
        description="Runs the suites. Every option that is not named here goes to pytest, such as"
        " --setup tls, --topology minimal, --kube-version 1.36, -k NAME or -m AREA. With --kubeconfig FILE it"
        " judges a cluster that exists, and changes nothing there but namespaces of its own.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "--suite",
        help=f"only the suite of this area, such as ordering (default: all but {MEASURING}, which measures"
        " and wants the host for itself)",
    )
    parser.set_defaults(run=_run, passes_on=True)


def _run(arguments: argparse.Namespace) -> int:
    suites = ROOT / "suites" / (arguments.suite or "")
    if not suites.is_dir():
        raise UsageError(f"no suite {arguments.suite!r}; there is {', '.join(_suites()) or 'none'}")
    where = [str(suites)]
    if arguments.suite is None:
        where.append(f"--ignore={suites / MEASURING}")
    elif arguments.suite == MEASURING and not any(each.startswith("--topology") for each in arguments.rest):
        where += ["--topology", Topology.SIMULATED, "--topology", Topology.STANDARD]
    return _pytest([*where, *arguments.rest])


def _suites() -> list[str]:
    return sorted(each.name for each in (ROOT / "suites").iterdir() if any(each.glob("test_*.py")))


class _Judged:
    """Tells whether pytest judged anything: its own code for misuse, 4, is that of inconclusive here."""

    def __init__(self) -> None:
        self.anything = False
        self.interrupted = False

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.interrupted = excinfo.errisinstance(KeyboardInterrupt)  # and not pytest.exit

    def pytest_runtest_logreport(self) -> None:
        self.anything = True


def _pytest(arguments: list[str]) -> int:
    import pytest  # noqa: PLC0415 - only these two commands need it, and it loads slowly

    if not (ROOT / "conftest.py").is_file():
        raise UsageError("the suites are not installed; run from a checkout of Kubewitness")
    judged = _Judged()
    fixed = ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    code = int(pytest.main([*fixed, *arguments], plugins=[judged]))
    if judged.interrupted:
        raise KeyboardInterrupt
    misused = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)
    return EXIT_USAGE if code in misused and not judged.anything else code


def _add_replay(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "replay",
        help="judge a stored run again, without a cluster",
        description="Decodes the stored packets anew and lets the same tests judge them. Verdicts that"
        " differ from the stored ones are listed. Other options go to pytest, such as -k NAME.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("evidence", type=Path, help="a run's directory, such as reports/out/latest")
    parser.add_argument("--out", type=Path, help="where the new results go (default: RUN/replay)")
    parser.set_defaults(run=_replay, passes_on=True)


def _replay(arguments: argparse.Namespace) -> int:
    stored_file = arguments.evidence / "results.json"
    if not stored_file.is_file():
        raise UsageError(f"{arguments.evidence} holds no results.json; give a run's directory")
    try:
        stored = _verdicts(stored_file)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{stored_file} is no results file: {error}") from error
    out = arguments.out or arguments.evidence.resolve() / "replay"
    shutil.rmtree(out, ignore_errors=True)
    code = _pytest(
        [
            str(ROOT / "suites"),
            "--replay",
            str(arguments.evidence.resolve()),
            "--evidence",
            str(out),
            *arguments.rest,
        ]
    )
    if (out / "results.json").is_file():
        again = _verdicts(out / "results.json")
        differing = [key for key, verdict in again.items() if stored.get(key, verdict) != verdict]
        for key in differing:
            print(f"differs: {key}: was {stored[key]}, is {again[key]}")
        print(f"{len(again)} verdicts judged again, {len(differing)} differ")
        return code or (1 if differing else 0)
    return code


def _version(option: str) -> str:
    try:
        parse(option)
    except UnknownVersion as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return option


def _verdicts(file: Path) -> dict[str, str]:
    rows = json.loads(file.read_text())["results"]
    return {f"{row['id']}[{row['cluster']}]": row["verdict"] for row in rows}


def _add_clusters(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    up = subparsers.add_parser(
        "up",
        help="bring a cluster up and leave it up",
        description="Starts a cluster and prints its kubeconfig. It stays until `kubewitness down`.",
    )
    up.add_argument("--version", default=MINORS[-1], type=_version, help=_VERSIONS)
    up.add_argument(
        "--provider", default=Provider.LOCAL, choices=[Provider.LOCAL, Provider.KIND], type=Provider
    )
    up.add_argument(
        "--engine",
        choices=list(EngineName),
        type=EngineName,
        help="of --provider kind: whose container engine runs its nodes, one of its own or this host's"
        " (default: own)",
    )
    up.add_argument("--setup", default="tls", choices=list(Setup), type=Setup)
    up.add_argument("--topology", default="standard", choices=list(Topology), type=Topology)
    up.add_argument("--nodes", type=int, help="real nodes; of kind, its workers (default: 1)")
    up.add_argument(
        "--emulated-nodes",
        default=0,
        type=int,
        metavar="N",
        help="nodes with a kernel of their own, which mount NFS and iSCSI; slow (default: 0)",
    )
    up.add_argument(
        "--evidence",
        type=Path,
        default=None,
        help="where the capture goes (default: the run's own directory)",
    )
    up.add_argument(
        "--publish",
        type=int,
        metavar="PORT",
        help=f"let the API server be reached on this port of {LOOPBACK}, too (0: any free one); without it,"
        " at an address of the cluster's own",
    )
    up.set_defaults(run=_up)
    down = subparsers.add_parser(
        "down",
        help="end clusters that `up` started",
        description="Ends the clusters named, or all that are up.",
    )
    down.add_argument("run_id", nargs="*", help="as printed by `up`; default: all")
    down.set_defaults(run=_down)
    clean = subparsers.add_parser(
        "clean",
        help="remove what killed runs left",
        description="Removes the files, control groups and links of runs that are dead, what they had in"
        " this host's Docker or Podman, and the logs of clusters that did not come up. Living ones stay."
        " With --kubeconfig it removes every namespace that runs made in that cluster.",
    )
    clean.add_argument("--kubeconfig", type=Path, help="of an existing cluster that a run was killed on")
    clean.add_argument("--context", help="of the kubeconfig; default: its current one")
    clean.set_defaults(run=_clean)
    check = subparsers.add_parser(
        "doctor",
        help="say what this host can do",
        description="Checks what a local cluster needs of this host.",
    )
    check.add_argument("--json", action="store_true", help="print a JSON list")
    check.add_argument("--version", default=MINORS[-1], type=_version, help=_VERSIONS)
    check.add_argument(
        "--topology", default=Topology.STANDARD, choices=list(Topology), type=Topology,
        help="of the cluster that it is to hold (default: standard, which needs most)",
    )  # fmt: skip
    check.add_argument("--emulated-nodes", action="store_true", help="and what emulated nodes need")
    check.add_argument("--kind", action="store_true", help="and what provider kind needs")
    check.add_argument(
        "--engine", choices=list(EngineName), type=EngineName, help="and what it needs with this --engine"
    )
    check.set_defaults(run=doctor.run)


def _up(arguments: argparse.Namespace) -> int:
    kind, standard = arguments.provider is Provider.KIND, arguments.topology is Topology.STANDARD
    simulated = arguments.topology is Topology.SIMULATED
    if kind and (not standard or arguments.emulated_nodes):
        raise UsageError("--provider kind: its clusters are of the standard topology, without emulated nodes")
    if arguments.engine and not kind:
        raise UsageError(f"--engine {arguments.engine}: only provider kind runs nodes in a container engine")
    engine = arguments.engine or EngineName.OWN
    doctor.require(
        arguments.version, arguments.topology, emulated_nodes=bool(arguments.emulated_nodes),
        engine=engine if kind else None, node_image=kind,
    )  # fmt: skip
    if simulated and arguments.nodes is not None:
        raise UsageError(f"--nodes {arguments.nodes}: the simulated topology has no real node")
    nodes = 0 if simulated else 1 if arguments.nodes is None else arguments.nodes
    if not simulated and (nodes < 1 or (not standard and nodes != 1)):
        raise UsageError(f"--nodes {nodes}: minimal has exactly one node, standard at least one")
    if arguments.emulated_nodes < 0 or (arguments.emulated_nodes and not standard):
        raise UsageError(
            f"--emulated-nodes {arguments.emulated_nodes}: {arguments.topology} has none, standard 0 or more"
            if not standard
            else f"--emulated-nodes {arguments.emulated_nodes}: wanted is 0 or more"
        )
    port = None if arguments.publish is None else _free_port(arguments.publish)
    if kind:
        names = [*ALL, *EXTRA[KIND]]
    else:
        names = [*SIMULATED] if simulated else [name for name in ALL if name != "kubeadm"]
    assets = resolve(arguments.version, names, progress=_say)
    spec = ClusterSpec(
        assets.kubernetes, arguments.provider, arguments.setup, arguments.topology, nodes,
        () if kind or simulated else mountable(), emulated=arguments.emulated_nodes, engine=engine,
        named=unique_name(engine, arguments.setup),
    )  # fmt: skip
    make: type[KeptCluster] = KindCluster if kind else LocalCluster
    cluster = make(spec, assets, arguments.evidence, _say)
    cluster.start()
    assert cluster.keeper is not None
    try:
        kubeconfig = cluster.kubeconfig if port is None else cluster.publish(port)
    except BaseException:
        cluster.stop()
        raise
    cluster.keeper.persist()
    print(kubeconfig)
    _say(f"cluster {cluster.run.id} is up: export KUBECONFIG={kubeconfig}")
    _say(f"end it with: kubewitness down {cluster.run.id}")
    return 0


def _free_port(wanted: int) -> int:
    """``wanted``, or any free port for 0; asked before a cluster is made for it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--publish {wanted}: port {wanted} of {LOOPBACK} cannot be had ({error});"
                " end the process that uses it, name another port, or 0 for any free one"
            ) from error
        return int(probe.getsockname()[1])


def _down(arguments: argparse.Namespace) -> int:
    known = {run.id: run for run in runs.all_runs() if run.alive and run.describe()}
    for wanted in arguments.run_id or known:
        if wanted not in known:
            raise UsageError(f"no cluster {wanted} is up; there is {', '.join(known) or 'none'}")
        runs.stop(known[wanted])
        _say(f"cluster {wanted} is down")
    return 0


def _clean(arguments: argparse.Namespace) -> int:
    if arguments.kubeconfig:
        for line in existing.clean(existing.Access(arguments.kubeconfig, arguments.context)):
            print(f"removed {line}")
        print("clean")
        return 0
    left: list[str] = []
    for line in runs.sweep(left.append):
        print(f"removed {line}")
    for line in runs.forget_failures():
        print(f"removed {line}")
    if left:
        raise ClusterError("; ".join(left))
    living = [run.id for run in runs.all_runs()]
    print(f"clean; still up: {', '.join(living)}" if living else "clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
