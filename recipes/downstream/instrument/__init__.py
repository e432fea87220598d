"""Instrument of a note, as a task of S3PRL."""
