"""Tags of a clip, as a task of S3PRL."""
