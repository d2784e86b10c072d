"""The pytest plugin: which clusters, which behaviours, and what became of them."""

from __future__ import annotations

import argparse
import datetime
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.assets.images import PAUSE, WITNESS
from kubewitness.capture.reading import BrokenEvidence
from kubewitness.clusters.errors import ClusterError, Refused, UsageError
from kubewitness.clusters.existing import Access, discover
from kubewitness.clusters.mounting import mountable
from kubewitness.model.behaviour import Behaviour, Kind, parse_minor
from kubewitness.model.cluster import (
    USUAL_TOPOLOGIES,
    ClusterSpec,
    EngineName,
    Provider,
    Setup,
    Topology,
    unique_name,
)
from kubewitness.model.needs import needed, offered
from kubewitness.model.verdict import Broken, Inconclusive, Verdict
from kubewitness.reporting.measured import MEASURED
from kubewitness.reporting.parts import judged_by, price_of_tls
from kubewitness.reporting.results import Outcome, Results
from kubewitness.reporting.story import STORY

EXIT_BROKEN, EXIT_USAGE, EXIT_NO_CLUSTER, EXIT_INCONCLUSIVE = 1, 2, 3, 4
_NODES, _KIND_WORKERS = 3, 2
_SCALES = (1, 10, 100, 1000, 5000)
_FIXED_NODES = {Topology.MINIMAL: 1, Topology.SIMULATED: 0}
ROOT = Path(__file__).parents[2]
IMAGES = {"witness": WITNESS, "pause": PAUSE}
RESULTS = pytest.StashKey[Results]()
SPECS = pytest.StashKey[list[ClusterSpec]]()
OUTCOME = pytest.StashKey[Outcome]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kubewitness", "Kubewitness: which cluster, and where its evidence goes")
    group.addoption("--kube-version", default="1.37", help="a minor such as 1.37, or exactly 1.37.2")
    group.addoption(
        "--provider",
        choices=[str(each) for each in Provider],
        help="who makes the cluster (default: local; existing for --kubeconfig)",
    )
    group.addoption(
        "--setup",
        action="append",
        choices=[str(each) for each in Setup],
        help="may be repeated; default: both",
    )
    group.addoption(
        "--topology",
        action="append",
        choices=[str(each) for each in Topology],
        help="may be repeated; default: minimal and standard",
    )
    group.addoption(
        "--nodes", type=int, help="nodes of the standard topology (default: 3, workers of kind: 2)"
    )
    group.addoption(
        "--node-image",
        type=Path,
        metavar="FILE",
        help="of kind's nodes: an archive as `docker save` writes it (default: built here)",
    )
    group.addoption(
        "--engine",
        choices=[str(each) for each in EngineName],
        help="of provider kind: whose container engine runs its nodes, one of the run's own or this host's"
        " (default: own)",
    )
    group.addoption(
        "--emulated-nodes",
        type=_count,
        default=0,
        metavar="N",
        help="more nodes of the standard topology, with a kernel that mounts NFS and iSCSI (default 0)",
    )
    group.addoption(
        "--key-log",
        action="store_true",
        help="in setup tls, an API server that was built to log the keys of its TLS connections, so that what"
        " is said there is judged, too; the keys are in the evidence",
    )
    group.addoption(
        "--kubeconfig",
        type=Path,
        help="judge this existing cluster; default with --provider existing: $KUBECONFIG or ~/.kube/config",
    )
    group.addoption("--context", help="of the kubeconfig; default: its current one")
    group.addoption(
        "--allow-disruption",
        action="store_true",
        help="of an existing cluster, change more than the namespaces made for the run: labels and taints of"
        " nodes, objects without a namespace, files on nodes; all but the files is undone",
    )
    group.addoption(
        "--image",
        action="append",
        default=[],
        type=_image,
        metavar="NAME=REFERENCE",
        help="where an existing cluster's nodes pull a test image: witness or pause; may be repeated",
    )
    group.addoption(
        "--scales",
        type=_counts,
        default=_SCALES,
        metavar="N,N",
        help="numbers of simulated nodes at which suite latency measures"
        f" (default {','.join(map(str, _SCALES))})",
    )
    group.addoption(
        "--load-pods", type=_count, default=1000, metavar="N",
        help="pods of each load on simulated nodes (default 1000)",
    )  # fmt: skip
    group.addoption(
        "--load-rate", type=float, default=50.0, metavar="R",
        help="how many of them are created a second, where it is at a given rate (default 50)",
    )  # fmt: skip
    group.addoption("--evidence", type=Path, help="the run's directory; default: reports/out/RUN")
    group.addoption("--replay", type=Path, help="judge the evidence of this run again; no cluster is made")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "behaviour(declared): the test proves this behaviour")
    for kind in Kind:
        config.addinivalue_line("markers", f"{kind}: behaviours of this kind")
    provider = config.getoption("provider")
    if provider in (Provider.LOCAL, Provider.KIND) and config.getoption("kubeconfig"):
        raise pytest.UsageError(
            f"--provider {provider} makes a cluster of its own, --kubeconfig names one that exists: leave one"
            " out"
        )
    kind = provider == Provider.KIND
    topologies = config.getoption("topology") or USUAL_TOPOLOGIES
    if kind and (others := set(config.getoption("topology") or ()) - {Topology.STANDARD}):
        raise pytest.UsageError(
            f"--topology {min(others)}: provider kind makes clusters of the standard topology"
        )
    if config.getoption("nodes") is not None and not kind and set(topologies) == {Topology.SIMULATED}:
        raise pytest.UsageError("--nodes: the simulated topology has no real node; its tests make their own")
    if config.getoption("node_image") and not kind:
        raise pytest.UsageError("--node-image: only provider kind makes nodes of an image")
    if config.getoption("engine") and not kind:
        raise pytest.UsageError("--engine: only provider kind runs nodes in a container engine")
    if config.getoption("emulated_nodes") and (kind or access(config) or Topology.STANDARD not in topologies):
        raise pytest.UsageError(
            "--emulated-nodes: only the clusters of provider local and topology standard have any"
        )
    if config.getoption("key_log") and (
        kind or access(config) or set(config.getoption("setup") or ()) == {Setup.INSECURE}
    ):
        raise pytest.UsageError(
            "--key-log: only the clusters of provider local and setup tls have keys to log"
        )
    if (replay := config.getoption("replay")) and not (replay / "results.json").is_file():
        raise pytest.UsageError(
            f"--replay: {replay} holds no results.json; give a run's directory, such as reports/out/latest"
        )
    started = datetime.datetime.now(datetime.UTC)
    name = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    directory = config.getoption("evidence") or ROOT / "reports" / "out" / name
    config.stash[RESULTS] = Results(
        directory.absolute(), started, config.invocation_params.args, judged=config.getoption("replay")
    )
    config.stash[SPECS] = _specs(config)


def access(config: pytest.Config) -> Access | None:
    """The way to an existing cluster, if one was asked for."""
    named: Path | None = config.getoption("kubeconfig")
    if named is None and config.getoption("provider") != Provider.EXISTING:
        return None
    default = os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config"
    return Access(named or Path(default), config.getoption("context"))


def _counts(text: str) -> tuple[int, ...]:
    found = tuple(sorted(map(_count, text.split(","))))
    if 0 in found:
        raise argparse.ArgumentTypeError(f"wanted numbers of at least 1, such as 10,100; found {text!r}")
    return found


def _count(option: str) -> int:
    if not option.isdecimal():
        raise argparse.ArgumentTypeError(f"{option!r}: wanted is a number, 0 or more")
    return int(option)


def _image(option: str) -> tuple[str, str]:
    name, _, reference = option.partition("=")
    if name not in IMAGES or not reference:
        raise argparse.ArgumentTypeError(
            f"{option!r}: wanted is NAME=REFERENCE, NAME one of {', '.join(IMAGES)}"
        )
    return IMAGES[name], reference


def _specs(config: pytest.Config) -> list[ClusterSpec]:
    """The clusters that were asked for, or that the replayed run had."""
    if replay := config.getoption("replay"):
        return Results.specs_of(replay)
    if given := access(config):
        try:
            return [discover(given, disruption=config.getoption("allow_disruption"))]
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        except ClusterError as error:
            pytest.exit(str(error), EXIT_NO_CLUSTER)
    version, setups = config.getoption("kube_version"), config.getoption("setup") or list(Setup)
    if config.getoption("provider") == Provider.KIND:
        workers = config.getoption("nodes") or _KIND_WORKERS
        engine = EngineName(config.getoption("engine") or EngineName.OWN)
        return [
            ClusterSpec(
                version, Provider.KIND, Setup(each), Topology.STANDARD, workers, engine=engine,
                named=unique_name(engine, Setup(each)),
            )
            for each in setups
        ]  # fmt: skip
    return [
        ClusterSpec(
            version, Provider.LOCAL, Setup(setup), Topology(topology),
            _FIXED_NODES.get(topology, config.getoption("nodes") or _NODES),
            () if topology == Topology.SIMULATED else mountable(),
            emulated=config.getoption("emulated_nodes") if topology == Topology.STANDARD else 0,
            key_log=setup == Setup.TLS and config.getoption("key_log"),
            simulated=config.getoption("scales") if topology == Topology.SIMULATED else (),
        )
        for setup in setups
        for topology in config.getoption("topology") or USUAL_TOPOLOGIES
    ]  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        wanted = metafunc.config.stash[SPECS]
        metafunc.parametrize(
            "stage", wanted, indirect=True, scope="session", ids=[each.label for each in wanted]
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Makes area, kind and needs selectable with -m (`-` becomes `_`). A replay judges what was judged."""
    if replay := config.getoption("replay"):
        judged = judged_by(Results.stored(replay)["results"])
        config.hook.pytest_deselected(items=[each for each in items if each.nodeid not in judged])
        items[:] = [each for each in items if each.nodeid in judged]
    for item in items:
        if declared := declared_by(item):
            for name in (declared.area, str(declared.kind), *declared.needs):
                marker = name.replace("-", "_").replace(":", "_")
                config.addinivalue_line("markers", f"{marker}: an area, kind or need of behaviours")
                item.add_marker(getattr(pytest.mark, marker))


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    if not config.option.collectonly:
        return []
    found = {each.id: each for item in items if (each := declared_by(item))}
    return [f"{each.id} ({each.kind}): {each.says}" for each in found.values()]


def declared_by(item: pytest.Item) -> Behaviour | None:
    marker = item.get_closest_marker("behaviour")
    return marker.args[0] if marker else None


def spec_of(item: pytest.Item) -> ClusterSpec | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("stage") if callspec else None


def lacking(item: pytest.Item) -> list[str]:
    """The needs of the item's behaviour that its cluster does not offer."""
    declared, spec = declared_by(item), spec_of(item)
    if declared is None or spec is None:
        return []
    missing = sorted(needed(declared.needs) - offered(spec))
    if not declared.holds_in(parse_minor(spec.version)):
        missing.append(f"Kubernetes {declared.since or '…'} to {declared.until or '…'}")
    return missing


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any cluster is made for it: does the cluster offer what the behaviour needs?"""
    if missing := lacking(item):
        item.stash[OUTCOME] = Outcome(Verdict.UNSUPPORTED, ", ".join(missing))
        pytest.skip(f"unsupported: needs {', '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport | None]:
    report: pytest.TestReport = yield  # type: ignore[assignment,misc]
    declared, spec = declared_by(item), spec_of(item)
    if declared is None or spec is None:
        return report  # type: ignore[return-value]
    results = item.config.stash[RESULTS]
    if call.excinfo is not None and OUTCOME not in item.stash:
        item.stash[OUTCOME] = _outcome(call.excinfo.value)
        if isinstance(call.excinfo.value, Refused):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"unsupported: {call.excinfo.value}")
            return report  # type: ignore[return-value]
        if isinstance(call.excinfo.value, Broken | BrokenEvidence | ClusterError | Inconclusive):
            report.longrepr = results.explain(item.nodeid, declared, spec, item.stash[OUTCOME])
    if call.when == "call" and OUTCOME not in item.stash:
        item.stash[OUTCOME] = Outcome(Verdict.PASSED)
    results.duration_s[item.nodeid] = results.duration_s.get(item.nodeid, 0.0) + call.duration
    if call.when == "teardown":
        told = item.stash.get(STORY, None), item.stash.get(MEASURED, None)
        results.add(item.nodeid, declared, spec, item.stash[OUTCOME], *told)
    return report  # type: ignore[return-value]


def _outcome(error: BaseException) -> Outcome:
    match error:
        case BrokenEvidence():
            return Outcome(Verdict.INCONCLUSIVE, f"the evidence cannot be read: {error}")
        case Refused():
            return Outcome(Verdict.UNSUPPORTED, f"disruption (refused: {error})")
        case Broken():
            return Outcome(Verdict.BROKEN, str(error), error.violations)
        case Inconclusive():
            return Outcome(Verdict.INCONCLUSIVE, str(error))
        case _:
            return Outcome(Verdict.INCONCLUSIVE, f"the test could not be carried out: {error}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    results = session.config.stash[RESULTS]
    if not results.rows or session.config.option.collectonly:
        return
    verdicts = {row["verdict"] for row in results.rows}
    code = int(exitstatus)
    if Verdict.BROKEN in verdicts:
        code = EXIT_BROKEN
    elif code == 1 and Verdict.INCONCLUSIVE in verdicts:
        code = EXIT_INCONCLUSIVE
    session.exitstatus = code
    results.write(code, replayed=session.config.getoption("replay"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    if results.rows and not config.option.collectonly:
        terminalreporter.write_sep("-", "Kubewitness")
        terminalreporter.write_line(results.summary_line())
        for line in price_of_tls(results.rows, results.clusters.values()):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"report: {results.directory / 'report.html'}")
