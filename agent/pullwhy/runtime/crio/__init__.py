"""CRI-O's registry configuration: registries.conf, short names, certs.d, policy.json, its own settings and credentials."""
