"""Made-up events of the suite's own watches."""

from __future__ import annotations

from typing import Any

from kubewitness.model.history import CaptureStatistics, History
from kubewitness.model.observation import Change

POD, SET = "pods", "sets"


def change(
    collection: str, name: str, version: int, kind: str = "MODIFIED", *, time_ns: int = 0, **fields: Any
) -> Change:
    """An event of an object whose resource version is ``version``; ``fields`` may hold more metadata."""
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    obj = {**fields, "metadata": metadata | fields.get("metadata", {})}
    return Change(position=version, time_ns=time_ns, collection=collection, type=kind, object=obj)


def followed(*changes: Change) -> History:
    """A history in which the watches delivered just these, in this order."""
    return History((), (), CaptureStatistics(0, 0, ()), changes=changes)
