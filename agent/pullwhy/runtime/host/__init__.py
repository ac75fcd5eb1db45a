"""The node itself as its runtime meets it: files, processes, resolver, trust store, disks, kernel."""
