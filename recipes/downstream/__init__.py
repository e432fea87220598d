"""Tasks in the layout of S3PRL, and the command that runs them."""
