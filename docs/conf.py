"""Sphinx builds the site: ``python -m sphinx -n -W --keep-going docs build/docs``."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring

from motionbeat_upstream.version import __version__

project = "MotionBeat"
author = "MotionBeat contributors"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"MotionBeat {release}"
html_show_copyright = False
myst_heading_anchors = 3

autodoc_member_order = "bysource"
# The constructors of dataclasses repeat their attributes.
autodoc_class_signature = "separated"
autodoc_default_options = {"exclude-members": "__init__"}
# Signatures show the names of these types; what they stand for is long.
ALIASES = "ArrayLike|Bool|Count|Integer|Natural|NotNegative|Number|Positive|Share|Text"
autodoc_type_aliases = {name: name for name in ALIASES.split("|")}
toc_object_entries = False
# The inventories of other projects are not downloaded, so that the build needs no network.
nitpick_ignore_regex = [
    (r"py:.*", r"(argparse|collections|fractions|huggingface_hub|numpy|os|pathlib|torch|typing)\..*"),
    (r"py:.*", r"pydantic\..*|Tensor|ModelProto|.*\.checkpoint\.Module|" + ALIASES),
]
# Named by docstrings of the public modules, and no part of the reference.
nitpick_ignore = [
    ("py:mod", "motionbeat_upstream.tracking.silence"),
    ("py:class", "motion_data.pipeline.batch.Batch"),
    ("py:mod", "motion_data.label_targets"),
]


def setup(app: Sphinx) -> None:
    """Register the reader of docstrings."""
    app.connect("autodoc-process-docstring", read_google_style)


def read_google_style(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Read ``Args:``, ``Returns:`` and ``Raises:``.

    sphinx.ext.napoleon would do so as well, but takes what stands before a colon in the docstring of an
    attribute for its type. Modules show commands and formulas as indented paragraphs.
    """
    if what == "module":
        for index in reversed(range(2, len(lines))):
            if lines[index].startswith("    ") and lines[index - 2][:1].strip() and not lines[index - 1]:
                lines[index:index] = ["::", ""]
    kind = "object" if what in ("attribute", "data", "property") else what
    lines[:] = GoogleDocstring(list(lines), what=kind, name=name, obj=obj).lines()
