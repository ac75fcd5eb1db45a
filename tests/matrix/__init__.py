"""The fault matrix: every fault that the lab makes on real components, and the run that shows what the program says of each."""
