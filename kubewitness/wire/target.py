"""What a request to the API server is about, told from its method, path and query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMED = re.compile(r"(?:^|,)metadata\.name==?([^,]*)")


@dataclass(frozen=True)
class Target:
    """As in ApiRequest; ``resource`` is ``""`` for paths that are no resource."""

    path: str
    query: Mapping[str, str]
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


def target(method: str, uri: str) -> Target:
    """As Kubernetes' own RequestInfo tells it. Of a query's repeated keys the last one counts."""
    raw_path, _, raw_query = re.sub(r"^https?://[^/]*", "", uri).partition("?")
    path = unquote(raw_path)
    query = dict(parse_qsl(raw_query, keep_blank_values=True))
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Target(path, query, method.lower())
    verb = _VERBS.get(method, method.lower())
    if rest[0] in ("watch", "proxy") and len(rest) > 1:  # the old prefixes
        verb, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    if not name and verb in ("get", "watch"):
        watching = verb == "watch" or query.get("watch", "").lower() in ("1", "t", "true")
        verb = "watch" if watching else "list"
        named = _NAMED.search(query.get("fieldSelector", ""))
        name = named[1] if named else ""
    elif not name and verb == "delete":
        verb = "deletecollection"
    return Target(path, query, verb, group, version, resource, subresource, namespace, name)
