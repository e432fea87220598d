"""The rhythm of a motion: contacts, beats, tempo, accents, and how they lock to music."""
