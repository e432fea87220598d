"""A recipe small enough for tests of the launcher: a straight line fitted on the CPU, with gloo."""
