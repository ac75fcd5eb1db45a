"""The container images and the manifests: what is in them, and the pod of the DaemonSet on a node."""
