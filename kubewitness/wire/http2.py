"""HTTP/2 as an onlooker reads it: both directions, each with its own header compression."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

import hpack
from hyperframe import exceptions
from hyperframe import frame as h2

from kubewitness.wire.errors import DecodeError
from kubewitness.wire.spans import Span, SpanBuffer
from kubewitness.wire.towards import Towards

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Headers = dict[str, str]

_LARGEST_HEADERS = 1 << 20

#: Most frames are of these types (RFC 9113, 6), and nothing is to be parsed in them. Of data: its flags.
_HEADER: Final = 9
_STREAM: Final = 0x7FFFFFFF
_DATA: Final = 0
_END_STREAM: Final = 0x01
_PADDED: Final = 0x08
#: What tells an onlooker nothing, by its length: PING and WINDOW_UPDATE.
_PASSED_OVER = {6: 8, 8: 4}


class Streams(Protocol):
    """Who reads the streams."""

    def headers(self, towards: Towards, stream: int, headers: Headers, span: Span) -> None: ...

    def body(self, towards: Towards, stream: int, data: bytes, span: Span) -> None: ...

    def ended(self, towards: Towards, stream: int) -> None:
        """This direction of the stream is complete."""

    def reset(self, stream: int) -> None:
        """Either end gave the stream up."""


class _Side:
    """What one end sends."""

    def __init__(self) -> None:
        self.buffer = SpanBuffer()
        self.decoder = hpack.Decoder(max_header_list_size=_LARGEST_HEADERS)
        self.pending: deque[int] = deque()  # table sizes this end announced, not yet acknowledged
        self.block = bytearray()
        self.opened: h2.HeadersFrame | h2.PushPromiseFrame | None = None  # whose block continues
        self.block_span: Span | None = None


class Http2Conversation:
    """Cuts frames and tells ``streams`` what they carry. Must see the connection from its start."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._client, self._server = _Side(), _Side()
        self._prefaced = False

    def data(self, towards: Towards, payload: bytes, span: Span) -> None:
        side = self._client if towards is Towards.SERVER else self._server
        side.buffer.append(payload, span)
        if towards is Towards.SERVER and not self._prefaced:
            if len(side.buffer) < len(PREFACE):
                return
            side.buffer.take(len(PREFACE))
            self._prefaced = True
        while len(side.buffer) >= _HEADER:
            head = side.buffer.peek(_HEADER)
            length = int.from_bytes(head[:3], "big")
            if len(side.buffer) < _HEADER + length:
                return
            raw, raw_span = side.buffer.take(_HEADER + length)
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big") & _STREAM
            if side.opened is not None or kind != _DATA or flags & _PADDED or not stream:
                if side.opened is not None or _PASSED_OVER.get(kind) != length:
                    self._frame(towards, raw, raw_span)
                continue
            self._streams.body(towards, stream, raw[_HEADER:], raw_span)
            if flags & _END_STREAM:
                self._streams.ended(towards, stream)

    def end(self, towards: Towards) -> None:
        """Streams that are still open stay unanswered."""

    def _frame(self, towards: Towards, raw: bytes, span: Span) -> None:
        try:
            frame, _ = h2.Frame.parse_frame_header(memoryview(raw)[:9])
            frame.parse_body(memoryview(raw)[9:])
        except (exceptions.HyperframeError, ValueError) as error:
            raise DecodeError(f"an HTTP/2 frame of type {raw[3]} is malformed: {error}") from error
        side = self._client if towards is Towards.SERVER else self._server
        if side.opened is not None and not isinstance(frame, h2.ContinuationFrame):
            raise DecodeError(f"wanted the rest of the headers, found an HTTP/2 frame of type {raw[3]}")
        if isinstance(frame, h2.DataFrame):  # with padding
            self._streams.body(towards, frame.stream_id, bytes(frame.data), span)
            if "END_STREAM" in frame.flags:
                self._streams.ended(towards, frame.stream_id)
        elif isinstance(frame, h2.HeadersFrame | h2.PushPromiseFrame):
            side.opened, side.block, side.block_span = frame, bytearray(frame.data), span
            self._block(towards, frame)
        elif isinstance(frame, h2.ContinuationFrame):
            self._continue(side, frame, span)
            self._block(towards, frame)
        elif isinstance(frame, h2.RstStreamFrame):
            self._streams.reset(frame.stream_id)
        elif isinstance(frame, h2.SettingsFrame):
            self._settings(towards, frame)

    @staticmethod
    def _continue(side: _Side, frame: h2.ContinuationFrame, span: Span) -> None:
        if side.opened is None or side.block_span is None:
            raise DecodeError("the rest of headers that never began")
        side.block += frame.data
        side.block_span = side.block_span.join(span)
        if len(side.block) > _LARGEST_HEADERS:
            raise DecodeError(f"headers larger than {_LARGEST_HEADERS} bytes")

    def _block(self, towards: Towards, frame: h2.Frame) -> None:
        """Decode a header block if it is complete. Each must be, or the next ones are wrong."""
        side = self._client if towards is Towards.SERVER else self._server
        opened, span = side.opened, side.block_span
        if "END_HEADERS" not in frame.flags or opened is None or span is None:
            return
        side.opened = None
        try:
            listed = side.decoder.decode(bytes(side.block), raw=True)
        except hpack.HPACKError as error:
            raise DecodeError(f"a header block cannot be decompressed: {error}") from error
        if isinstance(opened, h2.HeadersFrame):
            headers: Headers = {}
            for raw_name, raw_value in listed:
                name, value = bytes(raw_name).decode("latin-1"), bytes(raw_value).decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            self._streams.headers(towards, opened.stream_id, headers, span)
            if "END_STREAM" in opened.flags:
                self._streams.ended(towards, opened.stream_id)

    def _settings(self, towards: Towards, frame: h2.SettingsFrame) -> None:
        """An end's table size limits the other end's encoder once that one has acknowledged it.

        A larger table may be in use before the acknowledgement is seen, so that is allowed at once.
        """
        mine, theirs = (
            (self._client, self._server) if towards is Towards.SERVER else (self._server, self._client)
        )
        if "ACK" in frame.flags:
            if theirs.pending:
                mine.decoder.max_allowed_table_size = theirs.pending.popleft()
            return
        latest = mine.pending[-1] if mine.pending else theirs.decoder.max_allowed_table_size
        size = frame.settings.get(h2.SettingsFrame.HEADER_TABLE_SIZE, latest)
        mine.pending.append(size)
        theirs.decoder.max_allowed_table_size = max(theirs.decoder.max_allowed_table_size, size)
