"""Judges recorded evidence, as it is or mutated, by the tests of the suites; prints who killed what."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fixtures.script import Script
from kubewitness.capture.reading import Reading
from kubewitness.load.plan import Outcome
from kubewitness.model.cluster import Setup
from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import Observation
from kubewitness.reporting.behaviours import implemented
from kubewitness.reporting.parts import judged_by
from kubewitness.reporting.plugin import RESULTS, ROOT
from kubewitness.reporting.results import Results
from tests.mutants.mutations import Mutation, Packets

Verdicts = dict[str, str]
Judge = Callable[[Mutation], Verdicts]
RECORDINGS = ROOT / "tests" / "recordings"
TABLE = pytest.StashKey[list[tuple[str, str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--area", help="only the mutants of this area of behaviours, such as ordering")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Where the whole of tests/ is run, this file is found too late to have an option.
    area = config.getoption("area", default=None)
    is_other = collection_path.match("test_*.py") and collection_path.stem != f"test_{area}"
    return True if area and is_other else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    table = config.stash.get(TABLE, [])
    if table:
        terminalreporter.write_sep("-", "mutants, and the behaviours that found them broken")
        for name, wanted, killers in sorted(table, key=lambda row: row[1]):
            terminalreporter.write_line(f"{wanted:<50} {name}: {killers or 'SURVIVED'}")


class Verdict:
    """A plugin that keeps the verdicts of a run that is over."""

    def __init__(self) -> None:
        self.of: Verdicts = {}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.of = {row["id"]: row["verdict"] for row in session.config.stash[RESULTS].rows}


class Recording:
    """A stored run of one cluster. Its packets are decoded once, however often it is judged."""

    def __init__(self, archive: Path, directory: Path) -> None:
        with tarfile.open(archive) as stored:
            stored.extractall(directory, filter="data")
        self.directory = directory
        self.results = json.loads((directory / "results.json").read_text())
        (self.evidence,) = (directory / "evidence").iterdir()
        self.reading = Reading(self.evidence)
        self.history = cache(self.reading.history)
        self.holding = cache(self.reading.holding)
        self.missing = self.reading.missing

    @property
    def judged(self) -> dict[str, str]:
        """The verdict of every behaviour when it was recorded."""
        return {row["id"]: row["verdict"] for row in self.results["results"]}

    def said_to_be(self, setup: Setup, directory: Path) -> Path:
        """A copy of the run, in ``directory``, that claims another setup."""
        cluster = {**self.results["clusters"][0], "setup": setup}
        cluster["label"] = f"{setup}-{cluster['topology']}"
        rows = [
            {**row, "nodeid": f"{row['nodeid'].partition('[')[0]}[{cluster['label']}]"}
            for row in self.results["results"]
        ]
        (directory / "evidence").mkdir()
        (directory / "evidence" / cluster["label"]).symlink_to(self.evidence)
        (directory / "results.json").write_text(
            json.dumps({**self.results, "clusters": [cluster], "results": rows})
        )
        return directory


class Recordings(dict[str, Recording]):
    """By name; each is unpacked when it is first asked for."""

    def __init__(self, places: pytest.TempPathFactory) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, name: str) -> Recording:
        self[name] = Recording(RECORDINGS / f"{name}.tar.xz", self._places.mktemp("recording"))
        return self[name]


@dataclass(frozen=True)
class Jury:
    """What the mutants of an area are judged with."""

    judge: Judge
    recordings: Recordings
    table: list[tuple[str, str, str]]

    def each_behaviour_has_a_mutant(self, area: str, mutations: Sequence[Mutation]) -> None:
        declared = {each.id for each in implemented() if each.area == area}
        assert {each.behaviour for each in mutations} == declared

    def judges_as_it_did(self, recording: str) -> None:
        verdicts = self.judge(Mutation("none", "", recording=recording))
        assert verdicts == self.recordings[recording].judged
        assert "passed" in verdicts.values()

    def kills(self, mutation: Mutation) -> None:
        """Just the behaviours that the mutation names are broken, and all others are judged as they were."""
        verdicts = self.judge(mutation)
        broken = {each for each, verdict in verdicts.items() if verdict == "broken"}
        self.table.append((mutation.name, mutation.behaviour, ", ".join(sorted(broken))))
        assert broken == {mutation.behaviour, *mutation.neighbours}
        rest = {verdict for each, verdict in verdicts.items() if each not in broken}
        assert rest <= {"passed", "unsupported"}


@pytest.fixture
def jury(judge: Judge, recordings: Recordings, request: pytest.FixtureRequest) -> Jury:
    return Jury(judge, recordings, request.config.stash[TABLE])


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recordings]:
    found = Recordings(tmp_path_factory)
    yield found
    for each in found.values():
        each.reading.close()


@pytest.fixture
def judge(recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Runs the suites on a recording with a mutation applied; the verdict of every behaviour."""

    def run(mutation: Mutation) -> Verdicts:
        recording, read_outcome = recordings[mutation.recording], Outcome.read
        directory = recording.directory
        if mutation.setup is not None:
            directory = recording.said_to_be(mutation.setup, tmp_path)

        def history(_: Reading, first: int, last: int, statistics: CaptureStatistics) -> History:
            return mutation.history(recording.history(first, last, statistics))

        def holding(_: Reading, marker: bytes, first: int, last: int) -> Packets:
            return mutation.packets(recording.holding(marker, first, last))

        def stream(_: Reading, first: int, last: int) -> Iterator[Observation]:
            whole = recording.history(first, last, CaptureStatistics(last, 0, ()))
            return iter(mutation.history(whole).observations)

        def missing(_: Reading, statistics: CaptureStatistics) -> tuple[str, ...]:
            return recording.missing(statistics)

        def outcome(path: Path) -> Outcome:
            return mutation.outcome(read_outcome(path))

        def step(self: Script, scene: str, what: str, _do: object) -> Any:
            return mutation.step(scene, what, self._recall(scene, what))

        def write(_results: Results, _exit_code: int, replayed: Path | None) -> None:
            assert replayed, "only verdicts are wanted of a mutant, no reports"

        monkeypatch.setattr(Reading, "history", history)
        monkeypatch.setattr(Reading, "holding", holding)
        monkeypatch.setattr(Reading, "stream", stream)
        monkeypatch.setattr(Reading, "missing", missing)
        monkeypatch.setattr(Outcome, "read", outcome)
        monkeypatch.setattr(Script, "step", step)
        monkeypatch.setattr(Results, "write", write)
        verdict = Verdict()
        fixed = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-q"]
        where = ["--replay", str(directory), "--evidence", str(tmp_path / "out")]
        # Only those that were judged then: what a recording is for, it says itself.
        judged = sorted(judged_by(recording.results["results"]))
        tests = dict.fromkeys(f"{ROOT}/{nodeid.partition('[')[0]}" for nodeid in judged)
        pytest.main([*fixed, "--capture=no", *where, *tests], plugins=[verdict])
        return verdict.of

    return run
