"""TLS as an onlooker reads it: the clear part of handshakes, and all that a key log has the secrets of."""

from kubewitness.wire.tls.conversation import CLIENT_HELLO, TlsConversation
from kubewitness.wire.tls.keylog import KeyLog

__all__ = ["CLIENT_HELLO", "KeyLog", "TlsConversation"]
