"""Pretraining of both towers on music paired with motion."""
