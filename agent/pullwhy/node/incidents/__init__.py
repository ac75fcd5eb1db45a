"""What fails on this node: incidents with the kubelet's clock, what is told of them, and when they are walked again."""
