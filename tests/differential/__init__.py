"""Differential tests: what pullwhy reads out of a configuration, against what the real program does with it."""
