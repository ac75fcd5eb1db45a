"""`kubectl pullwhy`: the queries through kubectl, with the user's own kubeconfig and identity."""
