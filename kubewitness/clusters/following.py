"""Watches of whole collections, kept open together: what is awaited on them is what is recorded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import urllib3

from kubewitness.clusters.api import Api, Object, Resource, Waited, brief
from kubewitness.clusters.errors import ClusterError

#: The objects of each followed collection, by its path and their names.
State = Mapping[str, Mapping[str, Object]]
_SHOWN = 6


class Following:
    """Open when made, and read until closed. ``events`` have the fields of model.observation.Change."""

    def __init__(self, api: Api, resources: Sequence[Resource]) -> None:
        self.events: list[dict[str, Any]] = []
        self._state: dict[str, dict[str, Object]] = {}
        self._news = threading.Condition()
        self._broken = ""
        self._closing = False
        self._watches: list[urllib3.BaseHTTPResponse] = []
        self._threads: list[threading.Thread] = []
        try:
            for each in resources:
                self._open(api, each)
        except BaseException:
            self.close()
            raise

    def _open(self, api: Api, resource: Resource) -> None:
        listed = api.get(resource.path)
        self._state[resource.path] = {}
        for item in listed["items"]:
            self._take(resource.path, "LISTED", item)
        watch = api.open_watch(resource, listed["metadata"]["resourceVersion"])
        thread = threading.Thread(target=self._read, args=(resource.path, watch), daemon=True)
        self._watches.append(watch)
        self._threads.append(thread)
        thread.start()

    def _read(self, collection: str, watch: urllib3.BaseHTTPResponse) -> None:
        received = bytearray()
        try:
            for chunk in watch.stream(1 << 16):
                received += chunk
                *lines, rest = received.split(b"\n")
                received = bytearray(rest)
                for line in lines:
                    event = json.loads(line)
                    self._take(collection, event["type"], event["object"])
            self._break(f"the API server ended the watch of {collection}")
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            self._break(f"the watch of {collection} broke: {error}")

    def _take(self, collection: str, kind: str, obj: Object) -> None:
        if kind == "ERROR":
            self._break(f"the watch of {collection} ended: {obj.get('message', obj)}")
            return
        with self._news:
            entry = {"collection": collection, "type": kind, "object": obj, "time_ns": time.time_ns()}
            self.events.append({"position": len(self.events) + 1, **entry})
            name = obj["metadata"]["name"]
            if kind == "DELETED":
                self._state[collection].pop(name, None)
            else:
                self._state[collection][name] = obj
            self._news.notify_all()

    def _break(self, why: str) -> None:
        with self._news:
            if not self._closing:
                self._broken = self._broken or why
                self._news.notify_all()

    def until(self, condition: Callable[[State], bool], *, within_s: float, what: str) -> None:
        """Returns as soon as ``condition`` holds of the state that the events so far have led to."""
        with self._news:
            self._news.wait_for(lambda: self._broken or condition(self._state), within_s)
            if self._broken:
                raise ClusterError(f"waiting for {what}: {self._broken}")
            if not condition(self._state):
                raise Waited(f"waited {within_s:g} s for {what}; last seen: {self._last_seen()}")

    def _last_seen(self) -> str:
        found = [(name, each) for objects in self._state.values() for name, each in objects.items()]
        shown = ", ".join(f"{name} {brief(each)}" for name, each in found[:_SHOWN])
        return f"{shown} and {len(found) - _SHOWN} more" if len(found) > _SHOWN else shown or "nothing"

    def close(self) -> None:
        """Ends the watches. What they delivered until now is all in ``events``."""
        with self._news:
            self._closing = True
        for watch in self._watches:
            watch.shutdown()
        for thread in self._threads:
            thread.join()
        for watch in self._watches:
            watch.close()
