"""The network. Its modules do not depend on S3PRL, fairseq2 or a file format."""
