"""Beat tracking: signal processing and decoding from sound to a metrical grid, without a network."""
