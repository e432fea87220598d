"""Beats and downbeats from features, as an S3PRL task."""
