"""Who is who: agents by certificate or token, readers by token, and the collector's own certificates."""
