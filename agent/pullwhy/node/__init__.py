"""The node agent: incidents, walks, reproductions and the way to the collector."""
