"""Sans-I/O decoding: captured packets in, what the components said to each other out."""
