"""The container runtime on this node: its CRI socket, its process and its effective registry configuration."""
