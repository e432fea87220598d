"""Speed of features, beats and pretraining on this machine."""
