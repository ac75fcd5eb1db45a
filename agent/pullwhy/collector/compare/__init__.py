"""Comparing nodes: who is asked, what they say, how far a problem reaches, and when it is over."""
