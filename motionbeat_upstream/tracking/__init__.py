"""From sound to a metrical grid: signal processing and decoding, without a network."""
