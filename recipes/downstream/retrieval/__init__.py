"""Retrieval between music and motion, as a task of S3PRL."""
