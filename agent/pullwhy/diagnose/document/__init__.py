"""Findings as JSON: the contract `pullwhy/v1`, and the form between agents and collector, within bounds."""
