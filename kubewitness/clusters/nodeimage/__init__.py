"""Node images for kind, built of Debian's packages and the binaries at hand, without a container engine."""
