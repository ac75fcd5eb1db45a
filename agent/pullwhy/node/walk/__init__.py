"""Walks: the plan, made from the node's files, and the confined child that follows it."""
