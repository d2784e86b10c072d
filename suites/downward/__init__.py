"""What containers are told of their own pod and node, in their environment and in files."""
