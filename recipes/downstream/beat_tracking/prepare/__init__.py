"""Commands that create data sets for beat tracking: audio, ``.beats`` files, ``splits.csv``."""
