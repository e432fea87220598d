"""Music against motion: motions laid out on the frames of the music, and what finds its own among others."""
