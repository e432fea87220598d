"""What the tasks share that say one thing of a whole clip: its tags, genre, instrument, emotion."""
