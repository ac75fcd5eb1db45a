"""Readers as a file names them."""

TOKEN = "a-token-of-jane-0001"
ADMIN = "a-token-of-root-0002"
FILE = f"""
[[readers]]
name = "jane"
token = "{TOKEN}"
namespaces = ["shop", "cart"]

[[readers]]
name = "root"
token = "{ADMIN}"
may = ["probes", "silences"]
"""
