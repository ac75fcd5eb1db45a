"""What the tests of the walk share: a network that is a table, and real servers on loopback."""
