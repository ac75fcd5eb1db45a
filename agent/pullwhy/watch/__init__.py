"""Watch: from the journal's lines to recognised pull failures."""
