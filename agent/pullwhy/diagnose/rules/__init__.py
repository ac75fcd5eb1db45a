"""Rules: what the results of a walk and what is known on the node prove; pure."""
