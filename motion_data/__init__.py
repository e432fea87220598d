"""Music paired with motion."""
