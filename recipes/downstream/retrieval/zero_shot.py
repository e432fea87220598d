"""Zero-shot retrieval on any corpus with both pretrained towers.

    python -m recipes.downstream.retrieval.zero_shot CORPUS OUT
    ... --music A.safetensors --motion-side B.safetensors

The scores are those of the task retrieval, on the same clips. ``python -m recipes.pretrain.export RUN
A.safetensors --motion-side B.safetensors`` writes the two files of a run; the default is the shipped model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from motion_data.files import file_sha256
from motion_data.manifest import read_corpus
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import input_file, refuse_to_replace
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_MOTION
from recipes.results.record import Run, command_and_versions, results_path

if TYPE_CHECKING:
    from motion_data.manifest import Corpus
    from motionbeat_upstream.nn.motionbeat import MotionBeat
    from recipes.downstream.retrieval.report import BatchVectors
    from recipes.downstream.retrieval.settings import TaskSettings


@command("recipes.downstream.retrieval.zero_shot", extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.downstream.retrieval.zero_shot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="a corpus of motion_data")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of scores-SPLIT.jsonl and .md")
    parser.add_argument("--music", type=input_file, default=SHIPPED, metavar="FILE", help="music tower")
    parser.add_argument(
        "--motion-side",
        type=input_file,
        default=SHIPPED_MOTION,
        metavar="FILE",
        help="motion tower and heads that were trained with it",
    )
    parser.add_argument("--split", choices=("test", "dev", "train"), default="test")
    parser.add_argument("--clips", type=int, metavar="N", help="maximum number of clips (that of the task)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing scores in OUT")
    options = parser.parse_args(arguments)
    refuse_to_replace([results_path(options.out, options.split)], options.overwrite)
    corpus = read_corpus(options.corpus)  # before the slow imports

    from motionbeat_upstream.checkpoint import load_motionbeat
    from motionbeat_upstream.threads import use_idle_cores
    from recipes.downstream.retrieval.report import report, retrieval_results, similarity_tables
    from recipes.downstream.retrieval.settings import read_settings

    clips = {} if options.clips is None else {"eval_clips": options.clips}
    settings = read_settings({"datarc": {"root": str(options.corpus), **clips}})
    use_idle_cores()
    model, provenance = load_motionbeat(options.music, options.motion_side)
    tables = similarity_tables(encode(model, corpus, settings, options.split))
    run = Run(
        task="retrieval",
        data=options.corpus.name,
        upstream=f"{options.music.stem}, zero-shot",
        checkpoint=file_sha256(options.music),
        split=options.split,
        details={
            "pairs": len(tables.names),
            "training": provenance.training,
            "provenance": dict(provenance.details),
            "settings": asdict(settings),
            **command_and_versions(),
        },
    )
    piece_of = {pair.name: pair.piece for pair in corpus.pairs}
    results = retrieval_results(run, tables, settings.scoringrc.pool, piece_of)
    print(report(options.out, results))
    return 0


def encode(model: MotionBeat, corpus: Corpus, settings: TaskSettings, split: str) -> list[BatchVectors]:
    """Vectors of the pairs of a split from both towers.

    Raises:
        DataError, AudioError: pairs that cannot be read, or too few.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from tqdm import tqdm

    from motion_data.pipeline.pair_cache import PairCache
    from recipes.downstream.retrieval.batches import PairBatches
    from recipes.downstream.retrieval.report import collect_vectors

    data = settings.datarc
    pipeline = data.pipeline(0, training=False)
    cache = PairCache(corpus.folder, corpus.split(split), pipeline.fps, data.memory_megabytes)
    batches = PairBatches(corpus, split, pipeline, cache, 0, testing=True, max_clips=data.eval_clips)
    vectors = []
    with torch.inference_mode():
        for index in tqdm(range(len(batches)), desc=split, unit=" batches", disable=None):
            wavs, (batch,) = batches[index]
            size, clips = len(batch), batch.clips
            lengths = torch.tensor([len(wav) for wav in wavs[:size]])
            # Audio and noise.
            padded = [pad_sequence(part, batch_first=True) for part in (wavs[:size], wavs[size:])]
            sounds = [
                (
                    model.encode_music(wav, lengths, clips.grids).joint_embedding,
                    model.encode_music(wav, lengths, None, own_grids=True).joint_embedding,
                )
                for wav in padded
            ]
            motion = model.encode_motion(
                clips.joints, clips.pulses, clips.has_joints, clips.motion_lengths, clips.owner_grids
            )
            motion_own = model.encode_motion(
                clips.joints[:size],
                clips.pulses[:size],
                clips.has_joints[:size],
                clips.frame_lengths,
                clips.motion_grids,
                own_grids=True,
            )
            vectors.append(collect_vectors(batch, sounds, motion.joint_embedding, motion_own.joint_embedding))
    return vectors


if __name__ == "__main__":
    sys.exit(main())
