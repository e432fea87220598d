"""The colours of pictures, films and pages of a pair."""

INK = "#1d2433"
SOFT = "#8a93a6"
FAINT = "#e6e9ef"
ONSET = "#e07a3f"
BEAT = "#b9c0cc"
BAR = "#c2364b"
LEFT = "#2f6db5"
RIGHT = "#2c9a6a"
BODY = "#4a5268"
MOTION = "#6b4fa0"


def side_colour(name: str, middle: str) -> str:
    """The colour of a joint or limb by the side that its name begins with; ``middle`` where it has none."""
    if name.startswith("left"):
        return LEFT
    return RIGHT if name.startswith("right") else middle
