"""Remedies: text and commands, by id and typed arguments; the one place where commands are made."""
