"""Benchmarks: the commands that produce the tables and figures of the documents."""
