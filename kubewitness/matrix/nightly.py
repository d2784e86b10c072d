"""``kubewitness nightly``: the matrix, cell by cell, each a run in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import fcntl
import json
import math
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from kubewitness.clusters.errors import UsageError
from kubewitness.matrix import checkout, planning, store
from kubewitness.matrix.cells import MATRIX, Cell, chosen
from kubewitness.matrix.report import write_report
from kubewitness.matrix.store import CellResult
from kubewitness.reporting.html import in_words

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "reports" / "out" / "matrix"
#: An interrupted run takes its clusters down; one that takes longer is killed, and the kernel does it.
STOPPING_S = 180
EXIT_USAGE, EXIT_INCONCLUSIVE = 2, 4
_WORST_FIRST = (EXIT_USAGE, 3, 1, EXIT_INCONCLUSIVE)
_EPILOG = """\
examples:
  kubewitness nightly --time-limit 3h                  what has no result for this commit, as far as time goes
  kubewitness nightly --cells local-1.37-tls,local-1.36-tls --jobs 2
  kubewitness nightly -- --suite ordering              a matrix of its own, of one suite
  kubewitness nightly --list --json                    the cells, their results and expected durations

exit codes: 0 every cell passed, 3 a cell has no cluster, else 1 a cell is broken, else 4 a cell is
inconclusive or has no result, 2 usage, 130 interrupted"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "nightly",
        help="judge every version, provider and setup that has no result for this commit",
        description="Runs the cells of the matrix, each in a process of its own. A cell that fails does not"
        " stop the others. Results stay in reports/out/matrix/COMMIT/CELL, and a later call goes on with the"
        " cells that have none. Arguments after -- go to each run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=_jobs, default=1, metavar="N", help="cells at a time (default: 1)")
    parser.add_argument(
        "--time-limit",
        type=_duration,
        default=math.inf,
        metavar="TIME",
        help="such as 3h, 90m or 5400s: no cell is begun that is expected to end later, and one that runs on"
        " is stopped (default: none)",
    )
    parser.add_argument("--cells", metavar="NAME,…", help="only these, such as local-1.37-tls (default: all)")
    parser.add_argument(
        "--again", choices=["failed"], help="failed: those whose clusters did not come up run once more"
    )
    parser.add_argument("--list", action="store_true", help="run nothing: list the cells and their results")
    parser.add_argument("--json", action="store_true", help="with --list: a JSON list")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="-- ARGUMENT",
        help="of each run: --suite ordering, -k NAME, --nodes 2",
    )
    parser.set_defaults(run=run)


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted is a number, 1 or more")
    return int(text)


def _duration(text: str) -> float:
    try:
        return planning.parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(arguments: argparse.Namespace) -> int:
    """List the cells, or run those without a result and write the matrix report; the exit code."""
    cells = chosen(arguments.cells)
    key = checkout.key(ROOT, arguments.arguments)
    if arguments.list:
        matrix = Matrix(PLACE, key, arguments.arguments)
        print("\n".join(_listing(matrix, cells, as_json=arguments.json)))
        return 0
    if arguments.json:
        raise UsageError("--json goes with --list")
    _interruptible()
    with _locked(PLACE / key) as lock:
        matrix = Matrix(PLACE, key, arguments.arguments)
        waiting = [cell for cell in cells if _waits(matrix.results.get(cell), again=bool(arguments.again))]
        night = Night(matrix, waiting, arguments.time_limit)
        asyncio.run(night.run(arguments.jobs, lock))
    if matrix.results:
        print(write_report([matrix.directory], matrix.directory))
    print("\n".join(_summary(cells, matrix.results, night.remarks)))
    if night.moved:
        raise UsageError("the checkout changed while its cells ran; the result it changed under was not kept")
    return exit_code([matrix.results.get(cell) for cell in cells], misused=night.misused)


def _waits(result: CellResult | None, *, again: bool) -> bool:
    return result is None or (again and result.outcome == "no cluster")


def _interruptible() -> None:
    """Be interrupted by SIGTERM and SIGHUP as by SIGINT; by the latter even where a shell said to ignore it.

    What is ignored here is ignored by the runs, too, and SIGINT is how they are stopped. nohup's SIGHUP stays
    ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, lambda *_: signal.raise_signal(signal.SIGINT))


@contextmanager
def _locked(directory: Path) -> Iterator[int]:
    """A lock's descriptor, to be handed to the runs that are started: they may outlive a killed call."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another call is at work on the matrix of this commit, or a run that it left behind is;"
                " wait for it"
            ) from None
        yield lock.fileno()


class Matrix:
    """The results of one checkout and one selection of behaviours, in ``place / key``."""

    def __init__(self, place: Path, key: str, arguments: Sequence[str]) -> None:
        self.directory = place / key
        self.key = key
        self.arguments = tuple(arguments)
        self.earlier = store.earlier(place, arguments)
        self.begun = store.begun(place)
        self.results = {each.cell: each for each in store.stored(self.directory)}

    def add(self, result: CellResult) -> None:
        store.write(result, self.directory / result.cell.name)
        self.results[result.cell] = result
        self.earlier.append(result)

    def clear(self, cell: Cell) -> Path:
        """The cell's empty directory: nothing is left of a result, nor of a run that was cut off."""
        self.results.pop(cell, None)
        directory = self.directory / cell.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        return directory


class Night:
    """One call's work.

    ``remarks`` says of cells that got no result why, ``misused`` that some run's exit code was 2, ``moved``
    that the checkout changed, so that nothing more was begun.
    """

    def __init__(self, matrix: Matrix, waiting: Sequence[Cell], limit_s: float) -> None:
        self.remarks: dict[Cell, str] = {}
        self.misused = False
        self.moved = False
        self._matrix = matrix
        self._waiting = list(waiting)
        self._limit_s = limit_s
        self._until = math.inf

    async def run(self, jobs: int, lock: int) -> None:
        self._until = asyncio.get_running_loop().time() + self._limit_s
        async with asyncio.TaskGroup() as group:
            for _ in range(jobs):
                group.create_task(self._work(lock))
        for cell in self._waiting:
            why = "the checkout changed" if self.moved else "it would not have ended in time"
            self.remarks[cell] = f"not begun: {why}"

    async def _work(self, lock: int) -> None:
        while cell := self._take():
            await self._judge(cell, lock)

    def _take(self) -> Cell | None:
        left_s = self._until - asyncio.get_running_loop().time()
        if left_s <= 0 or self.moved:
            return None
        cell = planning.next_cell(self._waiting, self._matrix.begun, self._matrix.earlier, left_s)
        if cell:
            self._waiting.remove(cell)
            expected = planning.expected_s(cell, self._matrix.earlier)
            takes = "unknown" if expected is None else in_words(expected)
            _say(f"{cell.name} begins; expected duration: {takes}; {len(self._waiting)} wait")
        return cell

    async def _judge(self, cell: Cell, lock: int) -> None:
        directory = self._matrix.clear(cell)
        started = _now()
        with (directory / store.LOG).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command(cell, directory, self._matrix.arguments),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C reaches it through this process, once
                pass_fds=[lock],
            )
        try:
            async with asyncio.timeout_at(None if math.isinf(self._until) else self._until):
                code = await process.wait()
        except TimeoutError:
            await _stop(process)
            self._leave_none(cell, f"stopped at the time limit after {in_words(_since(started))}")
            return
        except asyncio.CancelledError:
            await _stop(process)
            self._leave_none(cell, "interrupted")
            raise
        self._keep(cell, directory, code, started)

    def _keep(self, cell: Cell, directory: Path, code: int, started: datetime.datetime) -> None:
        word = store.last_word((directory / store.LOG).read_text(encoding="utf-8", errors="replace"))
        if checkout.key(ROOT, self._matrix.arguments) != self._matrix.key:
            self.moved = True
            self._leave_none(cell, "the checkout changed while it ran")
        elif code not in store.OUTCOMES:
            self.misused |= code == EXIT_USAGE
            self._leave_none(cell, f"exit code {code}: {word}")
        else:
            times = started.isoformat(timespec="seconds"), _now().isoformat(timespec="seconds")
            message = word if code == 3 else ""
            took_s = round(_since(started), 1)
            self._matrix.add(
                CellResult(cell, self._matrix.key, self._matrix.arguments, code, message, *times, took_s)
            )
            told = message or _counts(directory / "results.json")
            _say(f"{cell.name} {store.OUTCOMES[code]} after {in_words(took_s)}: {told}")

    def _leave_none(self, cell: Cell, remark: str) -> None:
        """The log stays to be read; what else was written is no result."""
        for name in ("results.json", "report.html", "junit.xml"):
            (self._matrix.directory / cell.name / name).unlink(missing_ok=True)
        self.remarks[cell] = remark
        _say(f"{cell.name} has no result: {remark}")


def command(cell: Cell, directory: Path, arguments: Iterable[str]) -> list[str]:
    """The run of a cell, as a command."""
    run = [sys.executable, "-m", "kubewitness.cli", "run"]
    return [*run, *cell.options, "--evidence", str(directory), *arguments]


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Interrupt a run, and wait until it has taken its clusters down."""
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOPPING_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _counts(file: Path) -> str:
    if not file.is_file():
        return "nothing was judged"
    counted = json.loads(file.read_text(encoding="utf-8"))["run"]["summary"]
    return ", ".join(f"{count} {verdict}" for verdict, count in counted.items())


def exit_code(results: Sequence[CellResult | None], *, misused: bool) -> int:
    """Of the worst cell; one without a result is inconclusive, and a wrong call is worse than all."""
    codes = {EXIT_INCONCLUSIVE if each is None else each.exit_code for each in results}
    return next((code for code in _WORST_FIRST if code in codes | ({EXIT_USAGE} if misused else set())), 0)


def _summary(
    cells: Sequence[Cell], results: dict[Cell, CellResult], remarks: dict[Cell, str]
) -> Iterable[str]:
    """How many cells ended how, and by name what did not pass."""
    counted = Counter(results[cell].outcome if cell in results else "without a result" for cell in cells)
    outcomes = (*store.OUTCOMES.values(), "without a result")
    yield f"{len(cells)} cells: " + ", ".join(f"{counted[each]} {each}" for each in outcomes if counted[each])
    for cell in cells:
        result = results.get(cell)
        if result is None:
            yield f"  {cell.name} has no result: {remarks.get(cell, 'it did not run')}"
        elif result.outcome != "passed":
            yield f"  {cell.name}: {result.outcome}{': ' * bool(result.message)}{result.message}"


def _listing(matrix: Matrix, cells: Sequence[Cell], *, as_json: bool) -> Iterable[str]:
    expected = {cell: planning.expected_s(cell, matrix.earlier) for cell in cells}
    outcomes = {cell: matrix.results[cell].outcome for cell in cells if cell in matrix.results}
    if as_json:
        named = [{"cell": cell.name, **asdict(cell)} for cell in cells]
        told = [{"result": outcomes.get(cell), "expected_s": expected[cell]} for cell in cells]
        yield json.dumps([name | what for name, what in zip(named, told, strict=True)])
        return
    yield f"matrix {matrix.key}: {len(cells)} of {len(MATRIX)} cells"
    for cell in cells:
        takes = expected[cell]
        known = f"expected to take {in_words(takes)}" if takes is not None else ""
        yield f"  {cell.name:<20}{outcomes.get(cell, 'no result'):<14}{known}".rstrip()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _since(moment: datetime.datetime) -> float:
    return (_now() - moment).total_seconds()


def _say(line: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {line}", file=sys.stderr, flush=True)  # noqa: DTZ005 - a person's clock
