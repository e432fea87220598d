"""Which motion belongs to a music, as a task of S3PRL's kind; text-free."""
