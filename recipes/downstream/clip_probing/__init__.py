"""Shared code of the tasks that predict one value per clip: tags, genre, instrument, emotion."""
