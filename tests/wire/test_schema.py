"""The schema that is shipped, and the tool that writes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from kubewitness.wire import protobuf
from kubewitness.wire.scalars import SCALARS, SPECIAL
from tools import kubernetes_schema

DATA = Path(__file__).parent / "data"

PROTO = """
package k8s.io.api.shop.v1;

// Basket has things
message Basket {
  optional .k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta metadata = 1;

  // what it is // really
  repeated string names = 2;

  map<string, Extra> extra = 3;

  optional Inner inner = 4;

  optional int32 count = 5;
}

message Inner {
  optional bool open = 1;
}

message Extra {
  // items, if empty, will result in an empty slice

  repeated string items = 1;
}
"""
GO = """
type Basket struct {
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	// Names are names
	Names []string `json:"names" protobuf:"bytes,2,rep,name=names"`
	Extra map[string]Extra `json:"x-extra,omitempty" protobuf:"bytes,3,rep,name=extra"`
	Inner `json:",inline" protobuf:"bytes,4,opt,name=inner"`
	Count *int32 `json:"count,omitempty" protobuf:"varint,5,opt,name=count"`
}

type Inner struct {
	Open bool `json:"open,omitempty" protobuf:"varint,1,opt,name=open"`
}
"""


@pytest.fixture
def module_cache(tmp_path: Path) -> Path:
    for module in kubernetes_schema.MODULES:
        folder = tmp_path / "k8s.io" / f"{module}@v0.99.3" / f"{module}-shop" / "v1"
        folder.mkdir(parents=True)
        (folder / "generated.proto").write_text(PROTO.replace(".shop.", f".{module.replace('-', '_')}."))
        (folder / "types.go").write_text(GO)
        (folder / "register.go").write_text(f'const GroupName = "{module}.example.org"\n')
    return tmp_path


def test_numbers_and_types_are_the_protos_and_names_are_the_jsons(module_cache: Path) -> None:
    found: dict[str, Any] = kubernetes_schema.schema(module_cache, "v1.99.3")
    assert found["kubernetes"] == "v1.99.3"
    assert found["source"][0] == "k8s.io/api v0.99.3"
    assert found["groups"]["api.example.org/v1"] == "k8s.io.api.api.v1"
    assert found["packages"]["k8s.io.api.api.v1"] == {
        "Basket": [
            [1, "metadata", ".k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta", "o"],
            [2, "names", "string", "r"],
            [3, "x-extra", "Extra", "mo"],
            [4, "", "Inner", ""],
            [5, "count", "int32", ""],
        ],
        "Inner": [[1, "open", "bool", "o"]],
        "Extra": [[1, "", "string", "rl"]],
    }


def test_the_same_sources_give_the_same_bytes_with_a_message_on_each_line(module_cache: Path) -> None:
    first = kubernetes_schema.render(kubernetes_schema.schema(module_cache, "v1.99.3"))
    assert first == kubernetes_schema.render(kubernetes_schema.schema(module_cache, "v1.99.3"))
    assert json.loads(first)["packages"]
    assert sum(line.strip().startswith('"Basket": [[') for line in first.splitlines()) == 5


def test_an_older_version_adds_what_the_newer_no_longer_has(module_cache: Path) -> None:
    shutil.copytree(module_cache / "k8s.io", module_cache / "old" / "k8s.io")
    for folder in (module_cache / "old" / "k8s.io").iterdir():
        proto = next(folder.rglob("generated.proto"))
        gone = "message Gone {\n  optional k8s.io.api.api.v1.Inner inner = 1;\n}\n"
        text = proto.read_text().replace("optional bool open = 1;", "optional bool closed = 1;")
        proto.write_text(f"{text}\n{gone}")
        shutil.copytree(folder, module_cache / "k8s.io" / folder.name.replace("0.99.3", "0.19.4"))
    found: dict[str, Any] = kubernetes_schema.schema(module_cache, "v1.99.3", "v1.19.4")
    alone = kubernetes_schema.schema(module_cache, "v1.99.3")
    messages = found["packages"]["k8s.io.api.api.v1"]
    assert messages.pop("Gone") == [[1, "inner", ".k8s.io.api.api.v1.Inner", ""]]
    assert messages == cast("Any", alone)["packages"]["k8s.io.api.api.v1"]
    assert found["source"][-1] == "k8s.io/metrics v0.19.4"


def test_a_cache_without_the_sources_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"wanted generated\.proto files below .*api@v0\.99\.3, found none"):
        kubernetes_schema.schema(tmp_path, "v1.99.3")


def test_every_type_in_the_shipped_schema_is_known() -> None:
    schema = protobuf._schema()
    messages = {f"{package}.{name}" for package, known in schema["packages"].items() for name in known}
    known = messages | set(SPECIAL) | {protobuf._RAW_EXTENSION}
    for package, found in schema["packages"].items():
        for name, fields in found.items():
            for _, _, kind, _ in fields:
                full = kind[1:] if kind.startswith(".") else f"{package}.{kind}"
                assert kind in SCALARS or full in known, f"{package}.{name}: {kind}"
    assert set(schema["groups"].values()) <= set(schema["packages"])


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.pb")))
def test_objects_are_what_kubernetes_itself_prints(name: str) -> None:
    """Kubernetes' own compatibility data: each field of a kind filled, in protobuf and in JSON."""
    found = protobuf.decode((DATA / f"{name}.pb").read_bytes())
    assert found == json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
