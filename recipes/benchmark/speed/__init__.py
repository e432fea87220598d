"""The speed of features, beats and pretraining on this machine."""
