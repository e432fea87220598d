"""The rhythm of motions: contacts, beats, tempo, accents."""
