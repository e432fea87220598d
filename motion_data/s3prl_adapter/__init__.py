"""Prepared corpora for tasks of S3PRL, as folders in the layouts that these read."""
