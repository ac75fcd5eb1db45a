"""The few calls that the collector makes to the Kubernetes API; without it everything else works."""
