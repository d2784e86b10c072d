from __future__ import annotations

import pytest

from kubewitness.model.objects import about, identity, is_table, members
from kubewitness.model.observation import ApiObject

ROW = {"kind": "PartialObjectMetadata", "metadata": {"name": "web", "uid": "u"}}


def table(*rows: object) -> ApiObject:
    listed = [{"cells": ["web"], "object": row} for row in rows]
    return {
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "7"}, "rows": listed
    }  # fmt: skip


def test_an_object_tells_who_it_is_and_where_it_is_in_its_life() -> None:
    metadata = {"name": "p", "namespace": "d", "uid": "u", "resourceVersion": "3", "deletionTimestamp": "now"}
    pod = {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}
    its = identity(pod)
    assert (its.namespace, its.name, its.uid, its.resource_version) == ("d", "p", "u", "3")
    assert (its.node, its.phase, its.being_deleted) == ("n1", "Running", True)


@pytest.mark.parametrize(
    "found",
    [None, {}, {"metadata": None}, {"metadata": [], "spec": "x", "status": 3}, {"metadata": {"name": None}}],
)
def test_what_has_no_identity_has_none(found: ApiObject | None) -> None:
    its = identity(found)
    assert (its.namespace, its.name, its.uid, its.resource_version) == ("", "", "", "")
    assert (its.node, its.phase, its.being_deleted) == ("", "", False)


def test_a_table_of_one_row_is_about_that_row() -> None:
    assert about(table(ROW)) is ROW
    assert identity(about(table(ROW))).uid == "u"


@pytest.mark.parametrize("found", [table(), table(ROW, ROW), table(None), {"kind": "Pod"}, None])
def test_other_bodies_are_about_themselves(found: ApiObject | None) -> None:
    assert about(found) is found


def test_members_are_items_or_the_objects_of_rows() -> None:
    assert members({"kind": "PodList", "items": [ROW, ROW]}) == [ROW, ROW]
    assert members(table(ROW, None)) == [ROW, {}]
    assert members({"kind": "Table", "apiVersion": "example.org/v1", "rows": [1], "items": "text"}) == []
    assert members({"items": [None, ROW]}) == [ROW]
    assert not is_table({"kind": "Table"})
