"""Makes our tasks and our upstream known to an installed S3PRL, for as long as a run takes."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import motionbeat_upstream
from motionbeat_upstream.errors import MotionBeatError
from recipes.encoders import ENTRIES, entry

TASKS = Path(__file__).parent
"""Folder of tasks in S3PRL's layout: ``<task>/expert.py`` and ``<task>/config.yaml``.

A folder with a config.yaml alone holds our configuration of a task that is S3PRL's own: its wheel
packages none.
"""


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
            setattr(hub, name, entry(name))
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
        raise MotionBeatError("S3PRL is not installed; run: pip install 'motionbeat[downstream]'")
    return Path(spec.origin).parent


def packaged_config(task: str) -> Path | None:
    """Our configuration of a task of ours or of S3PRL's, or None."""
    path = TASKS / task / "config.yaml"
    return path if path.is_file() else None
