"""The lab: real containerds, registries, DNS and journals in namespaces of their own, for tests and for the demonstration."""
