"""Whether pods are taken is asked again as long as the API server does not know their account's token."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.asking import ask_for_pods
from kubewitness.clusters.api import Api, ApiError, Waited, pods
from tests.clusters.conftest import MadeUpCluster

PODS = pods("ns").path


class Once(dict[str, int]):
    """What is refused the first time that it is asked for."""

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        return self.pop(key, default)


def test_a_pod_is_asked_for_until_it_is_taken(made_up: MadeUpCluster, credentials: Path) -> None:
    made_up.refused = Once({PODS: 500})
    ask_for_pods(Api(credentials), "ns", "default", within_s=10)
    assert made_up.asked == 2 * [("POST", PODS)]


def test_one_that_is_never_taken_is_told_with_the_last_refusal(
    made_up: MadeUpCluster, credentials: Path
) -> None:
    made_up.refused = {PODS: 500}
    with pytest.raises(Waited, match=r"for pods of the default service account; last answer: .*forbidden"):
        ask_for_pods(Api(credentials), "ns", "default", within_s=0)


def test_another_refusal_ends_it(made_up: MadeUpCluster, credentials: Path) -> None:
    made_up.refused = {PODS: 403}
    with pytest.raises(ApiError) as caught:
        ask_for_pods(Api(credentials), "ns", "default", within_s=10)
    assert caught.value.status == 403
    assert made_up.asked == [("POST", PODS)]
