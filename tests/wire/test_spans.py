from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kubewitness.wire.spans import Span, SpanBuffer


def test_taken_bytes_know_the_packets_that_brought_them() -> None:
    buffer = SpanBuffer()
    buffer.append(b"abc", Span(1, 10, 1, 10))
    buffer.append(b"def", Span(2, 20, 2, 20))
    buffer.append(b"ghi", Span(3, 30, 3, 30))
    assert buffer.take(2) == (b"ab", Span(1, 10, 1, 10))
    assert buffer.take(4) == (b"cdef", Span(1, 10, 2, 20))
    assert buffer.take(3) == (b"ghi", Span(3, 30, 3, 30))


def test_a_packet_that_came_early_begins_the_span_and_the_one_that_freed_it_ends_it() -> None:
    buffer = SpanBuffer()
    buffer.append(b"late", Span(7, 70, 7, 70))
    buffer.append(b"early", Span(5, 50, 7, 70))
    assert buffer.take(9) == (b"lateearly", Span(5, 50, 7, 70))


@given(st.lists(st.binary(min_size=1, max_size=50_000), max_size=12), st.data())
def test_takes_give_back_what_was_appended(parts: list[bytes], data: st.DataObject) -> None:
    buffer, taken, spans = SpanBuffer(), b"", []
    for frame, part in enumerate(parts, 1):
        buffer.append(part, Span(frame, frame, frame, frame))
        count = data.draw(st.integers(0, len(buffer)))
        if count:
            piece, span = buffer.take(count)
            taken += piece
            spans.append(span)
    if len(buffer):
        taken += buffer.take(len(buffer))[0]
    assert taken == b"".join(parts)
    assert all(earlier.last_frame <= later.last_frame for earlier, later in pairwise(spans))


def test_find_counts_from_the_first_unread_byte() -> None:
    buffer = SpanBuffer()
    buffer.append(b"one\ntwo\n", Span(1, 1, 1, 1))
    buffer.take(4)
    assert buffer.find(b"\n") == 3
    assert buffer.find(b"\n", 4) == -1
