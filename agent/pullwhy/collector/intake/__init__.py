"""The agents' side: streams over gRPC, what comes in, and what is asked of nodes."""
