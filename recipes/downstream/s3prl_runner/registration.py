"""Registers the tasks and upstreams of this project with an installed S3PRL for the duration of a run."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import motionbeat_upstream
from motion_data.files import file_sha256
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1
from recipes.encoders import ENTRIES, load_entry

TASKS = Path(__file__).parent.parent
"""Folder of our tasks in S3PRL's layout: ``<task>/expert.py`` and ``<task>/config.yaml``."""

CONFIGS = Path(__file__).parent / "configs"
"""Our configurations of S3PRL's own tasks; S3PRL's wheel contains none."""

PACKAGED_WEIGHTS = {"motionbeat": SHIPPED, "motionbeat_v1": SHIPPED_V1}
"""Weights in this package, by upstream."""


@contextmanager
def registered() -> Iterator[None]:
    """Register our tasks, MotionBeat and other encoders with S3PRL; on exit restore the previous state."""
    from s3prl import downstream, hub

    search_path = list(downstream.__path__)
    loaded = set(sys.modules)
    entries = dict(vars(hub))
    try:
        # At the end, so that our tasks cannot replace S3PRL's.
        downstream.__path__.append(str(TASKS))
        importlib.invalidate_caches()
        from motionbeat_upstream.register import register

        register()
        for name in ENTRIES:
            setattr(hub, name, load_entry(name))
        yield
    finally:
        downstream.__path__[:] = search_path
        _unload_tasks(loaded)
        for name in set(vars(hub)) - set(entries):
            delattr(hub, name)
        for name, value in entries.items():
            setattr(hub, name, value)


def _unload_tasks(keep: set[str]) -> None:
    """Unload the modules of our tasks under S3PRL's package, except those in ``keep``."""
    from s3prl import downstream

    for task in own_tasks():
        name = f"{downstream.__name__}.{task}"
        if name in sys.modules and name not in keep:
            delattr(downstream, task)
        for module in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
            if module not in keep:
                del sys.modules[module]


def own_tasks() -> list[str]:
    """Names of our tasks."""
    return sorted(expert.parent.name for expert in TASKS.glob("*/expert.py"))


def s3prl_tasks() -> list[str]:
    """Names of S3PRL's tasks; their dependencies may not be installed."""
    return sorted(expert.parent.name for expert in _s3prl().glob("downstream/*/expert.py"))


def upstreams() -> list[str]:
    """Names of all upstreams, as for ``-u``.

    They are read from the source files, because importing S3PRL's hub takes seconds.
    """
    names = {*_public_functions(Path(motionbeat_upstream.__path__[0]) / "hubconf.py"), *ENTRIES}
    imports = re.findall(r"^from s3prl\.(\S+) import (.+)$", (_s3prl() / "hub.py").read_text("utf-8"), re.M)
    for module, imported in imports:
        file = _s3prl() / f"{module.replace('.', '/')}.py"
        names.update(_public_functions(file) if imported == "*" else imported.split(", "))
    return sorted(names)


def _public_functions(file: Path) -> list[str]:
    return re.findall(r"^(?:def |from \S+ import \w+ as )([a-zA-Z]\w*)", file.read_text("utf-8"), re.M)


def _s3prl() -> Path:
    """Folder of the installed package."""
    spec = importlib.util.find_spec("s3prl")
    if spec is None or spec.origin is None:
        raise MotionBeatError("S3PRL is not installed; in MotionBeat's folder: pip install '.[s3prl]'")
    return Path(spec.origin).parent


def packaged_config(task: str) -> Path | None:
    """Our configuration of one of our tasks or of S3PRL's, or None."""
    paths = (TASKS / task / "config.yaml", CONFIGS / f"{task}.yaml")
    return next((path for path in paths if path.is_file()), None)


def weights_file(upstream: str, checkpoint: Path | None) -> Path | None:
    """Weights of an upstream: ``checkpoint`` (``-k``), or those in the package, or None."""
    return PACKAGED_WEIGHTS.get(upstream) if checkpoint is None else checkpoint


def weights_sha256(upstream: str, checkpoint: Path | None) -> str:
    """SHA-256 of an upstream's weights: of the file, or of the names and sizes of the files in a folder.

    Empty if there are no local weights: an upstream without weights, or a URL.
    """
    weights = weights_file(upstream, checkpoint)
    if weights is None or not weights.exists():
        return ""
    if weights.is_file():
        return file_sha256(weights)
    sizes = sorted((path.name, path.stat().st_size) for path in weights.iterdir() if path.is_file())
    return hashlib.sha256(repr(sizes).encode()).hexdigest()
