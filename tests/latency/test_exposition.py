from __future__ import annotations

import math

import pytest

from kubewitness.latency.exposition import Histogram, added, histograms

TEXT = """\
# HELP took_seconds [STABLE] How long.
# TYPE took_seconds histogram
took_seconds_bucket{result="ok",le="0.001"} 1
took_seconds_bucket{result="ok",le="0.002"} %d
took_seconds_bucket{result="ok",le="+Inf"} %d
took_seconds_sum{result="ok"} 0.5
took_seconds_count{result="ok"} %d
took_seconds_bucket{result="no",le="0.001"} 5
took_seconds_bucket{result="no",le="0.002"} 5
took_seconds_bucket{result="no",le="+Inf"} 5
# TYPE other gauge
other{a="took_seconds"} 1
"""


def test_a_family_is_read_by_its_labels() -> None:
    found = histograms(TEXT % (3, 4, 4), "took_seconds")
    assert found[frozenset({("result", "ok")})] == Histogram(((0.001, 1), (0.002, 3), (math.inf, 4)))
    assert len(found) == 2


def test_only_what_was_added_counts() -> None:
    new = added(TEXT % (3, 4, 4), TEXT % (13, 14, 14), "took_seconds", lambda each: each["result"] == "ok")
    assert new is not None
    assert new.count == 10
    assert new.bucket(50) == new.bucket(99) == (0.001, 0.002)
    assert added(TEXT % (3, 4, 4), TEXT % (3, 4, 4), "took_seconds") is None
    assert added("", TEXT % (3, 4, 4), "took_seconds") == Histogram(((0.001, 6), (0.002, 8), (math.inf, 9)))


def test_a_bucket_is_told_and_nothing_between() -> None:
    histogram = Histogram(((0.1, 50), (0.2, 99), (math.inf, 100)))
    assert histogram.bucket(50) == (0.0, 0.1)
    assert histogram.bucket(51) == (0.1, 0.2)
    assert histogram.bucket(100) == (0.2, math.inf)
    with pytest.raises(ValueError, match="empty"):
        Histogram(((math.inf, 0),)).bucket(50)
