"""A lean client of the Kubernetes API and how it is let in: for collector and agent."""
