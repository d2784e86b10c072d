"""Write ``kubewitness/wire/kubernetes_schema.json``: how Kubernetes' protobuf maps to its JSON.

    python tools/kubernetes_schema.py GO_MODULE_CACHE v1.37.2 v1.19.16

The first version's kinds are those of the schema; from older ones come those
that it no longer has.

Reads the ``generated.proto`` files of the staging modules (for Kubernetes
``v1.X.Y`` these are ``k8s.io/*@v0.X.Y``) for numbers and types, and the Go
types beside them for what protobuf does not say: the JSON name of a field
(``""`` for one that is inlined) and whether a zero value is left out.
The same input always gives the same bytes.
"""

# ruff: noqa: INP001 - a script, not part of a package

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

MODULES = ("api", "apimachinery", "apiextensions-apiserver", "kube-aggregator", "metrics")
TARGET = Path(__file__).resolve().parent.parent / "kubewitness/wire/kubernetes_schema.json"

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PACKAGE = re.compile(r"^package ([\w.]+);", re.MULTILINE)
_MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(
    r"^\s*(optional|repeated|map)\s*(?:<(\w+),\s*([\w.]+)>|([\w.]+))\s+(\w+) = (\d+);", re.MULTILINE
)
_STRUCT = re.compile(r"^type (\w+) struct \{(.*?)^\}", re.DOTALL | re.MULTILINE)
_TAGGED = re.compile(r"^\s*(?:(\w+)\s+)?(\*?[\w.\[\]*]+)?\s*`([^`]*protobuf:\"[^`]*)`", re.MULTILINE)
_GROUP = re.compile(r"GroupName\s*=\s*\"([^\"]*)\"")

Field = list[int | str]


def go_fields(folder: Path) -> dict[tuple[str, int], tuple[str, str]]:
    """Of each (struct, field number): its JSON name and its flags, as in the data file."""
    found = {}
    for source in sorted(folder.glob("*.go")):
        if re.match(r"(zz_)?generated|.*_test\.go$", source.name):
            continue
        for struct, body in _STRUCT.findall(_COMMENT.sub("", source.read_text(encoding="utf-8"))):
            for name, kind, tags in _TAGGED.findall(body):
                number = re.search(r'protobuf:"[a-z0-9]+,(\d+)', tags)
                json_tag = re.search(r'json:"([^"]*)"', tags)
                if number and json_tag:
                    json_name, *options = json_tag[1].split(",")
                    pointer = (kind or name).startswith("*")
                    omits = ("omitempty" in options and not pointer) or "omitzero" in options
                    found[struct, int(number[1])] = (json_name, "o" if omits else "")
    return found


def message_fields(body: str, known: dict[tuple[str, int], tuple[str, str]], message: str) -> list[Field]:
    """The fields of one message as [number, JSON name, type, flags].

    Flags: ``r`` repeated, ``m`` map (then the type is the value's; keys are
    strings), ``o`` leave out when empty.
    """
    fields: list[Field] = []
    for label, _key, value, plain, name, digits in _FIELD.findall(body):
        number = int(digits)
        json_name, flags = known.get((message, number), (name, ""))
        shape = {"optional": "", "repeated": "r", "map": "m"}[label]
        kind = re.sub(r"^(?=k8s\.io\.)", ".", value or plain)  # as newer sources write it
        fields.append([number, json_name, kind, shape + flags])
    return fields


def read_proto(proto: Path) -> tuple[str, dict[str, list[Field]]]:
    """A proto file's package and its messages."""
    text = proto.read_text(encoding="utf-8")
    package = _PACKAGE.search(text)
    if not package:
        raise SystemExit(f"{proto}: wanted a 'package' line, found none")
    known = go_fields(proto.parent)
    messages = {}
    for message, body in _MESSAGE.findall(text):
        fields = message_fields(_COMMENT.sub("", body), known, message)
        if "items, if empty, will result in an empty slice" in body:
            # A Go slice type that protobuf has to wrap: its JSON is the bare list.
            fields = [[1, "", fields[0][2], "rl"]]
        messages[message] = fields
    return package[1], messages


def group_version(proto: Path) -> str | None:
    """The apiVersion that the package's kinds carry, or None for one that has no kinds."""
    for register in (proto.parent / "register.go", proto.parent.parent / "register.go"):
        found = register.is_file() and _GROUP.search(register.read_text(encoding="utf-8"))
        if found:
            version = proto.parent.name
            return f"{found[1]}/{version}" if found[1] else version
    return None


def schema(cache: Path, version: str, *older: str) -> dict[str, object]:
    packages, groups = read_version(cache, version)
    for each in older:
        old_packages, old_groups = read_version(cache, each)
        groups = old_groups | groups
        packages = {
            name: old_packages.get(name, {}) | packages.get(name, {}) for name in {*old_packages, *packages}
        }
    return {
        "source": [f"k8s.io/{module} {staged(each)}" for each in (version, *older) for module in MODULES],
        "kubernetes": version,
        "groups": dict(sorted(groups.items())),
        "packages": {name: dict(sorted(kinds.items())) for name, kinds in sorted(packages.items())},
    }


def staged(version: str) -> str:
    """The version of the staging modules."""
    return re.sub(r"^v1\.", "v0.", version)


def read_version(cache: Path, version: str) -> tuple[dict[str, dict[str, list[Field]]], dict[str, str]]:
    """A version's packages with their messages, and the package of each apiVersion."""
    packages: dict[str, dict[str, list[Field]]] = {}
    groups: dict[str, str] = {}
    for module in MODULES:
        root = cache / "k8s.io" / f"{module}@{staged(version)}"
        protos = sorted(p for p in root.rglob("generated.proto") if "testapigroup" not in p.parts)
        if not protos:
            raise SystemExit(f"wanted generated.proto files below {root}, found none; run 'go mod download'")
        for proto in protos:
            package, messages = read_proto(proto)
            packages[package] = messages
            group = group_version(proto)
            if group is not None:
                groups[group] = package
    return packages, groups


def render(data: dict[str, object]) -> str:
    """JSON with one message per line, so that versions can be compared."""
    text = json.dumps(data, indent=1, ensure_ascii=True)
    text = re.sub(r"\[\s+(\d+),\s+(\"[^\"]*\"),\s+(\"[^\"]*\"),\s+(\"[^\"]*\")\s+\]", r"[\1,\2,\3,\4]", text)
    return re.sub(r"(?<=\],)\n {4,}(?=\[)|(?<=\[)\n {4,}(?=\[)|(?<=\])\n {3}(?=\])", "", text) + "\n"


def main(arguments: list[str]) -> None:
    if len(arguments) < 2:
        raise SystemExit(
            f"usage: kubernetes_schema.py GO_MODULE_CACHE v1.X.Y [OLDER…]; found {len(arguments)} arguments"
        )
    TARGET.write_text(render(schema(Path(arguments[0]), *arguments[1:])), encoding="utf-8")
    print(f"wrote {TARGET} ({TARGET.stat().st_size} bytes)")


if __name__ == "__main__":
    main(sys.argv[1:])
