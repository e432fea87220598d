"""Music against motion: what finds its own among others, and what stands beside it to be compared with."""
