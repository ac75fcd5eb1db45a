"""The kubelet's part of a pull: its settings, and whose credentials it finds for an image."""
