"""Captured packets as scapy's, for whoever wants its layers. It loads slowly: import this where it is used.

Whoever imports more of scapy's layers than these finds them in packets that are dissected later.
"""

from __future__ import annotations

from scapy.config import conf
from scapy.layers import dns, inet, inet6, l2  # noqa: F401 - each tells scapy what may follow what
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw
from scapy.utils import EDecimal

from kubewitness.capture.files import Packet

_NS = 10**9


def scapied(packet: Packet) -> ScapyPacket:
    """Dissected from its link on, with scapy's ``time``, ``wirelen`` and ``sniffed_on``."""
    layer = conf.l2types.num2layer.get(packet.link, Raw)
    made: ScapyPacket = layer(packet.data)
    made.time = EDecimal(packet.time_ns) / _NS
    made.wirelen = packet.wire_bytes
    made.sniffed_on = packet.interface
    return made
