"""The network, part by part. Nothing here knows S3PRL, fairseq2 or a file format."""
