"""Tasks in S3PRL's layout, and the command that runs them."""
