"""Valence and arousal of a clip, as a task of S3PRL; `emotion` is S3PRL's own, of speech."""
