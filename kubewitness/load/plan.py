"""What a load is to send, and what became of it: two files of JSON lines, both UTF-8.

A **plan's** first line is an object with the fields of Plan, each further line one with those of Request. A
body is the object that is sent as JSON, or ``{"base64": …}`` with a ``content_type``; where ``body`` is null,
nothing is sent. An **outcome's** first line has the fields of Outcome but for its two lists; each further
line has those of Sent, or of Delivered. All ``_ns`` of an outcome are nanoseconds since the epoch, read from
CLOCK_MONOTONIC and moved by what CLOCK_REALTIME was ahead of it when the load began.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from kubewitness.clusters.errors import UsageError

JSON: Final = "application/json"
OPEN: Final = "open"
CLOSED: Final = "closed"
HTTP1: Final = "http/1.1"
HTTP2: Final = "h2"
#: HEAD is not among them: its answers have no body, whatever they say of its length.
METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


class PlanError(UsageError):
    """A plan that cannot be carried out, or a file that is none: what was wanted, and what is there."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``offset_ns`` is when it is to be sent in an open loop, counted from the load's start.

    ``body`` is sent as JSON, or, if it is bytes, as it is.
    """

    name: str
    method: str
    path: str
    body: Mapping[str, Any] | bytes | None = None
    offset_ns: int = 0
    content_type: str = JSON

    def octets(self) -> bytes:
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return json.dumps(self.body, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A load on ``server``, such as ``https://10.0.0.1:6443``.

    ``authority``, ``certificate`` and ``key`` are PEM files; without an authority the host's are trusted.
    In an open loop each request is sent at its time, whatever became of the others, on one of at most
    ``connections``, of which ``ahead`` are open before the start (None: 64, or one of HTTP/2). A server that
    stands still opens none by TLS, so what is due meanwhile is sent in time on those alone. In a closed loop
    ``concurrency`` requests are under way at any time, each on a connection of its own, until all are
    answered.

    ``watch`` is the path, with its query, of one watch to follow from before the first request until it has
    told of ``deliveries`` different names. All is over ``within_s`` after the start, done or not.
    ``accept`` is the media type that answers are asked for; a watch is read as JSON.

    ``protocol`` is ``http/1.1``, or over TLS ``h2``: then each connection takes many requests at once, in a
    closed loop its share of ``concurrency``, and one is enough. The watch has HTTP/1.1 in any case.
    """

    server: str
    requests: Sequence[Request]
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    connections: int = 1000
    ahead: int | None = None
    loop: str = OPEN
    concurrency: int = 1
    watch: str | None = None
    deliveries: int = 0
    within_s: float = 60.0
    accept: str = JSON
    protocol: str = HTTP1

    def __post_init__(self) -> None:
        wrong = (
            ("server", self.server, "http://HOST:PORT or https://HOST:PORT",
             self.server.startswith(("http://", "https://"))),
            ("loop", self.loop, f"{OPEN!r} or {CLOSED!r}", self.loop in {OPEN, CLOSED}),
            ("connections", self.connections, "at least 1", self.connections >= 1),
            ("concurrency", self.concurrency, "at least 1", self.concurrency >= 1),
            ("within_s", self.within_s, "more than 0", self.within_s > 0),
            ("deliveries", self.deliveries, "0 without a watch", self.watch or not self.deliveries),
            ("protocol", self.protocol, f"{HTTP1!r}, or with https:// {HTTP2!r}",
             self.protocol == HTTP1 or (self.protocol == HTTP2 and self.server.startswith("https:"))),
            ("key", self.key, "a certificate and its key, or neither",
             (self.key is None) == (self.certificate is None)),
        )  # fmt: skip
        for name, found, wanted, right in wrong:
            if not right:
                raise PlanError(f"a load's {name}: wanted {wanted}, found {found!r}")
        for request in self.requests:
            _check(request)

    def write(self, path: Path) -> None:
        header = _object(self)
        del header["requests"]
        files = {name: str(header[name]) for name in ("authority", "certificate", "key") if header[name]}
        _write(path, [header | files, *map(_line, self.requests)])

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Raises PlanError for a file that is none."""
        header, lines = _read(path, "plan")
        try:
            files = {name: Path(header.pop(name)) for name in ("authority", "certificate", "key")
                     if header.get(name)}  # fmt: skip
            return cls(requests=tuple(map(_request, lines)), **header | files)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PlanError(f"{path} is no plan of a load: {_told(error)}") from error


def _check(request: Request) -> None:
    where = f"request {request.name!r}"
    if request.method not in METHODS:
        raise PlanError(f"{where}: wanted one of {', '.join(METHODS)}, found {request.method!r}")
    if not request.path.startswith("/") or not request.path.isascii() or len(request.path.split()) != 1:
        raise PlanError(f"{where}: wanted a path that begins with / and is encoded, found {request.path!r}")
    if request.offset_ns < 0:
        raise PlanError(f"{where}: wanted an offset of 0 or more, found {request.offset_ns}")


def _object(value: Plan | Request | Outcome | Sent | Delivered) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _line(request: Request) -> dict[str, Any]:
    line = _object(request)
    if isinstance(request.body, bytes):
        line["body"] = {"base64": base64.b64encode(request.body).decode()}
    if request.content_type == JSON:
        del line["content_type"]
    return line


def _request(line: dict[str, Any]) -> Request:
    body = line.get("body")
    if body and set(body) == {"base64"}:
        line = line | {"body": base64.b64decode(body["base64"], validate=True)}
    return Request(**line)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of the plan. In a closed loop it was intended when it was sent.

    ``sent_ns`` is when its first byte went to the kernel; None if the load was over before. ``answered_ns``
    is when the last byte of its answer was read; it and ``status`` are None if that never came.
    """

    name: str
    method: str
    intended_ns: int
    sent_ns: int | None
    answered_ns: int | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The first event of the watch that told of an object of this name, and when its last byte was read."""

    name: str
    delivered_ns: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a load.

    ``clock_shift_ns`` is how far CLOCK_REALTIME moved against CLOCK_MONOTONIC meanwhile, ``connections`` how
    many were used, ``reconnected`` how many of them took the place of one that broke or was closed,
    ``rewatched`` how often the server ended the watch,
    ``processor_ns`` the processor time of the process meanwhile: near the load's whole time it was the limit.
    ``missing`` tells in one sentence why not everything is there; "" if it is.
    """

    began_ns: int
    ended_ns: int
    clock_shift_ns: int
    connections: int
    loop: str
    reconnected: int
    processor_ns: int
    rewatched: int = 0
    missing: str = ""
    sent: Sequence[Sent]
    delivered: Sequence[Delivered]

    def by_name(self) -> dict[str, tuple[Sent, ...]]:
        """The requests of each name, in the plan's order."""
        found: dict[str, tuple[Sent, ...]] = {}
        for each in self.sent:
            found[each.name] = (*found.get(each.name, ()), each)
        return found

    def skews_ns(self) -> list[int]:
        """How late each request was sent, in ascending order."""
        return sorted(each.sent_ns - each.intended_ns for each in self.sent if each.sent_ns is not None)

    def skew_ns(self, percent: float) -> int:
        """The least skew that so many percent of the requests do not exceed: the nearest rank."""
        skews = self.skews_ns()
        if not skews:
            raise ValueError("nothing was sent")
        return skews[max(0, math.ceil(len(skews) * percent / 100) - 1)]

    def write(self, path: Path) -> None:
        header = _object(self)
        del header["sent"], header["delivered"]
        _write(path, [header, *map(_object, self.sent), *map(_object, self.delivered)])

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """Raises PlanError for a file that is none."""
        header, lines = _read(path, "outcome")
        try:
            sent = tuple(Sent(**line) for line in lines if "method" in line)
            delivered = tuple(Delivered(**line) for line in lines if "method" not in line)
            return cls(sent=sent, delivered=delivered, **header)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PlanError(f"{path} is no outcome of a load: {_told(error)}") from error


def _write(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """At once: nobody meets half of a file."""
    half = path.with_name(path.name + ".part")
    half.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    half.replace(path)


def _read(path: Path, what: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        header, *lines = _parsed(path)
    except OSError as error:
        raise PlanError(f"the {what} of a load cannot be read: {path}: {error.strerror}") from error
    except (TypeError, ValueError) as error:
        raise PlanError(f"{path} is no {what} of a load: {_told(error)}") from error
    return header, lines


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as opened:
        for line in opened:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise TypeError(f"wanted an object in each line, found {line.strip()[:80]}")
            yield found


def _told(error: Exception) -> str:
    return str(error).replace("__init__() ", "").replace("Plan.", "").replace("Request.", "")
