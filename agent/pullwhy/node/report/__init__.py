"""The way to the collector: outbox and stream, what it is told of the node, and what it asks for."""
