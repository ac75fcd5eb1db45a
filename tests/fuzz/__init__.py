"""Hostile input: every parser of what strangers write or send, as a function of bytes that may only end well."""
