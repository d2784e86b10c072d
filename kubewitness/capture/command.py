"""``kubewitness wire``: what the parts of a control plane said to each other, line by line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from kubewitness.capture.files import BrokenCapture, Packet
from kubewitness.capture.growing import Growing
from kubewitness.capture.live import Live, NoCapture
from kubewitness.capture.parts import Parts
from kubewitness.capture.telling import Line, Teller
from kubewitness.model.history import CaptureStatistics
from kubewitness.model.observation import UNKNOWN
from kubewitness.wire.decoder import Decoder
from kubewitness.wire.errors import DecodeError
from kubewitness.wire.packet import LINKS
from kubewitness.wire.tls import KeyLog

_USAGE, _INCOMPLETE = 2, 4
_PROGRESS_S = 2.0
_MOST_MISSING = 10
_FORGET_EVERY = 10_000
_EPILOG = """\
A line tells the packet with which it was complete, the time (UTC), who asked or was told, what it was, and by
what it is joined to others: its object's uid, and the resourceVersion, which is etcd's revision.

Connections are read on whatever port they are: HTTP/1.1 and HTTP/2 in the clear, and under TLS 1.2 and 1.3
where the key log of either end is at hand (SSLKEYLOGFILE's format, in a file or the pcapng). A capture must
hold a connection from its beginning; what it lacks is told at the end.

Exit status: 0 all was read, 2 usage or no readable capture, 4 something is missing.

Examples:
  kubewitness wire apiserver.pcapng                     every call, watch event and etcd operation
  kubewitness wire --pod shop/cart-7d4b9 node1.pcap       one pod's life, timed from its creation
  kubewitness wire --keylog keys.log --json tls.pcapng    decrypted, one JSON object a line
  kubewitness wire --interface any                      this host's traffic as it passes, until Ctrl-C"""


class _Unusable(Exception):
    """What was asked for cannot be done, in one sentence."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "wire",
        help="read a capture of a control plane's traffic, line by line",
        description="Read a capture (pcap or pcapng), or an interface, and print one line for each API call,"
        " watch event and call to etcd.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="the capture, with the parts beside it (FILE_00002…); - reads standard input",
    )
    source.add_argument("--interface", metavar="NAME", help="listen to this interface, or to any")
    parser.add_argument("--keylog", type=Path, metavar="FILE", help="the secrets of TLS connections")
    parser.add_argument("--pod", metavar="[NAMESPACE/]NAME", help="only what is about this pod")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    keys = KeyLog()
    try:
        if arguments.keylog:
            _learn(arguments.keylog, keys)
        if arguments.interface:
            return _live(arguments, keys)
        return _file(arguments, keys)
    except (BrokenCapture, NoCapture, _Unusable) as error:
        print(f"kubewitness: {error}", file=sys.stderr)
        return _USAGE
    except BrokenPipeError:  # whoever read this has seen enough
        sys.stderr.close()
        return 0


def _learn(file: Path, keys: KeyLog) -> None:
    try:
        _learn_lines(str(file), file.read_text(), keys)
    except OSError as error:
        raise _Unusable(f"the key log {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _Unusable(f"{file} is no key log: {error}") from error


def _learn_lines(name: str, lines: str, keys: KeyLog) -> None:
    try:
        keys.learn(lines)
    except DecodeError as error:
        raise _Unusable(f"{name} has no key log: {error}") from error


class _Wire:
    """Decodes packets and prints what they tell."""

    def __init__(self, arguments: argparse.Namespace, keys: KeyLog) -> None:
        self.packets = 0
        self.calls: Counter[str] = Counter()
        self._json = arguments.json
        self._pod = Pod.parse(arguments.pod) if arguments.pod else None
        self._decoder = Decoder(frozenset(), frozenset(), lambda *_: UNKNOWN, keys)
        self._teller = Teller(self._decoder.connection)
        self._since_ns: int | None = None
        self._unread: Counter[int] = Counter()

    def take(self, packet: Packet) -> None:
        self.packets += 1
        if packet.link not in LINKS:
            self._unread[packet.link] += 1
            return
        for seen in self._decoder.feed(self.packets, packet.time_ns, packet.data, packet.link):
            line = self._teller.tell(seen)
            if line is not None:
                self._print(line)
        if self.packets % _FORGET_EVERY == 0:
            self._decoder.forget()

    @property
    def quiet(self) -> bool:
        """Whether a person waits at a terminal and sees nothing of what is read."""
        return sys.stderr.isatty() and (self._pod is not None or not sys.stdout.isatty())

    def finish(self, lost: int = 0, more: Sequence[str] = ()) -> int:
        """Tells of what has no answer and of what is missing. Returns the exit status."""
        for line in self._teller.unanswered():
            self._print(line)
        sys.stdout.flush()
        history = self._decoder.finish(CaptureStatistics(self.packets, lost, ()))
        missing = [*more, *history.missing]
        for link, count in self._unread.items():
            missing.append(f"{count} packets of link type {link} are not read, only those of {sorted(LINKS)}")
        told = ", ".join(f"{self.calls[kind]} {words}" for kind, words in _KINDS.items())
        print(f"{self.packets} packets, {self._decoder.connections} connections: {told}", file=sys.stderr)
        for why in missing[:_MOST_MISSING]:
            print(f"missing: {why}", file=sys.stderr)
        if len(missing) > _MOST_MISSING:
            print(f"missing: {len(missing) - _MOST_MISSING} more of these", file=sys.stderr)
        return _INCOMPLETE if missing else 0

    def _print(self, line: Line) -> None:
        self.calls[line.kind] += 1
        if self._pod is not None:
            if not self._pod.concerns(line):
                return
            self._since_ns = line.seen.time_ns if self._since_ns is None else self._since_ns
        print(json.dumps(line.json()) if self._json else line.text(self._since_ns))


_KINDS = {
    "call": "API calls", "event": "watch events", "etcd": "calls to etcd", "etcd-event": "events of etcd",
}  # fmt: skip


class Pod:
    """Lines about one pod: those that name it, and those that carry its uid once that is known."""

    def __init__(self, namespace: str, name: str) -> None:
        self._namespace, self._name = namespace, name
        self._uids: set[str] = set()

    @classmethod
    def parse(cls, text: str) -> Pod:
        namespace, _, name = text.rpartition("/")
        return cls(namespace, name)

    def concerns(self, line: Line) -> bool:
        named = (
            line.resource == "pods" and line.name == self._name and self._namespace in ("", line.namespace)
        )
        if named and line.uid:
            self._uids.add(line.uid)
        return named or bool({line.uid, line.regards} & self._uids)


def _file(arguments: argparse.Namespace, keys: KeyLog) -> int:
    name = "/dev/stdin" if arguments.file == "-" else arguments.file
    try:
        packets = Parts(Path(name), lambda lines: _learn_lines(name, lines, keys))
    except OSError as error:
        raise _Unusable(f"{name} cannot be read: {error.strerror}") from error
    wire = _Wire(arguments, keys)
    with closing(packets):
        shown = time.monotonic()
        try:
            while (packet := packets.next()) is not None:
                wire.take(packet)
                if wire.quiet and time.monotonic() - shown > _PROGRESS_S:
                    shown = time.monotonic()
                    print(f"{wire.packets} packets read", end="\r", file=sys.stderr, flush=True)
        except BrokenCapture:
            wire.finish(packets.lost)
            raise
    missing = [f"{packets.name} ends within packet {wire.packets + 1}"] if packets.cut_off else []
    if packets.gap:
        missing.append(f"{packets.gap} is not there, though the capture goes on behind it")
    return wire.finish(packets.lost, missing)


def _live(arguments: argparse.Namespace, keys: KeyLog) -> int:
    wire = _Wire(arguments, keys)
    secrets = Growing(arguments.keylog) if arguments.keylog else None
    with closing(Live(arguments.interface)) as live:
        print(f"listening to {arguments.interface}; Ctrl-C ends it", file=sys.stderr)
        try:
            while True:
                while (packet := live.next()) is not None:
                    wire.take(packet)
                sys.stdout.flush()
                live.wait()
                if secrets and (new := secrets.lines()):
                    _learn_lines(str(secrets.file), new.decode(errors="replace"), keys)
        except KeyboardInterrupt:
            return wire.finish(live.lost())
