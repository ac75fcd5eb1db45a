"""containerd's registry configuration: config.toml, certs.d with hosts.toml, the older mirrors; and its content store."""
