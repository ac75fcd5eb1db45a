"""The whole way on real components: faults made in the lab, agents and a collector as processes, answers over HTTP."""
