"""``python -m motion_data.s3prl_adapter CORPUS OUT --layout LAYOUT``: a corpus for a task of S3PRL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from motion_data.manifest import read_corpus
from motion_data.s3prl_adapter.export import LAYOUTS, export, plan_export
from motionbeat_upstream.commands.command import command


@command("s3prl_adapter", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when pairs were left out, 2 for what cannot be done."""
    parser = argparse.ArgumentParser("python -m motion_data.s3prl_adapter", description=__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="folder of a prepared corpus")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the export")
    parser.add_argument("--layout", choices=LAYOUTS, required=True, help="the task that will read it")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="longest clip where clips are classified (%(default)s)"
    )
    options = parser.parse_args(arguments)
    plan = plan_export(read_corpus(options.corpus), options.layout, options.seconds)
    print(f"{options.out}: {plan.text()}", flush=True)
    done = export(plan, options.out)
    counts = ", ".join(f"{count} of {split}" for split, count in done.clips.items())
    print(f"{done.folder}: {counts}")
    for label, style in done.classes.items():
        if label != style:
            print(f"  {label}: {style}")
    for name, why in done.left_out.items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    return 1 if done.left_out else 0


if __name__ == "__main__":
    sys.exit(main())
