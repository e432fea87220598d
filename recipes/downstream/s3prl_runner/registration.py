"""Tasks and upstreams by name: ours are made known to an installed S3PRL for as long as a run takes."""

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
"""Our configurations of tasks that are S3PRL's own: its wheel packages none."""

IN_THE_PACKAGE = {"motionbeat": SHIPPED, "motionbeat_v1": SHIPPED_V1}
"""Upstreams whose weights come with the package."""


@contextmanager
def registered() -> Iterator[None]:
    """Within, S3PRL finds our tasks beside its own, and MotionBeat and other encoders among its upstreams.

    Nothing of it is left afterwards, but for what the process had registered before.
    """
    from s3prl import downstream, hub

    search_path = list(downstream.__path__)
    loaded = set(sys.modules)
    entries = dict(vars(hub))
    try:
        # At the end, so that no task of ours can stand in for one of S3PRL's.
        downstream.__path__.append(str(TASKS))
        importlib.invalidate_caches()
        from motionbeat_upstream.register import register

        register()
        for name in ENTRIES:
            setattr(hub, name, load_entry(name))
        yield
    finally:
        downstream.__path__[:] = search_path
        _forget_tasks(loaded)
        for name in set(vars(hub)) - set(entries):
            delattr(hub, name)
        for name, value in entries.items():
            setattr(hub, name, value)


def _forget_tasks(keep: set[str]) -> None:
    """Unload our tasks' modules under S3PRL's name: the name is not theirs without the search path."""
    from s3prl import downstream

    for task in own_tasks():
        name = f"{downstream.__name__}.{task}"
        if name in sys.modules and name not in keep:
            delattr(downstream, task)
        for module in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
            if module not in keep:
                del sys.modules[module]


def own_tasks() -> list[str]:
    """Names of the tasks that are ours."""
    return sorted(expert.parent.name for expert in TASKS.glob("*/expert.py"))


def s3prl_tasks() -> list[str]:
    """Names of the tasks that S3PRL's wheel brings, whether or not what they import is installed."""
    return sorted(expert.parent.name for expert in _s3prl().glob("downstream/*/expert.py"))


def upstreams() -> list[str]:
    """Names that ``-u`` takes, MotionBeat's and other encoders among them, without importing one of them.

    S3PRL's hub gathers the functions of its files ``hubconf.py``.
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
    """The folder of the installed package."""
    spec = importlib.util.find_spec("s3prl")
    if spec is None or spec.origin is None:
        raise MotionBeatError("S3PRL is not installed; in MotionBeat's folder: pip install '.[s3prl]'")
    return Path(spec.origin).parent


def packaged_config(task: str) -> Path | None:
    """Our configuration of a task of ours or of S3PRL's, or None."""
    places = (TASKS / task / "config.yaml", CONFIGS / f"{task}.yaml")
    return next((path for path in places if path.is_file()), None)


def weights_file(upstream: str, given: Path | None) -> Path | None:
    """``-k`` of ``run_downstream.py``; without it the weights in the package, if the upstream has some."""
    return IN_THE_PACKAGE.get(upstream) if given is None else given


def weights_sha256(upstream: str, given: Path | None) -> str:
    """SHA-256 of an upstream's weights: of the file; of a folder, of the names and sizes of what is in it.

    Empty where there are no weights on this machine: an upstream without any, or an address.
    """
    weights = weights_file(upstream, given)
    if weights is None or not weights.exists():
        return ""
    if weights.is_file():
        return file_sha256(weights)
    listed = sorted((path.name, path.stat().st_size) for path in weights.iterdir() if path.is_file())
    return hashlib.sha256(repr(listed).encode()).hexdigest()
