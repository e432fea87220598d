"""Prepared corpora as data sets of S3PRL's tasks: in memory, or as folders in the layouts they read."""
