"""From a text to a hypothesis: what the words of an error say; pure."""
