"""Findings and problems as long texts for people."""
