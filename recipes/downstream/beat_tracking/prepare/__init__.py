"""Scripts that make data set folders for beat tracking: audio, ``.beats`` files, ``splits.csv``."""
