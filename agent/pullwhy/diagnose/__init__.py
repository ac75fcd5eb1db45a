"""Judgement: from text and trace to one root cause and its remedy; pure."""
