"""The stand-in kubelet: pulls over CRI with the kubelet's cadence and writes the kubelet's lines, with the runtime's real errors."""
