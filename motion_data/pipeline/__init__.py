"""Pairs as batches of clips: cut, bucketed, shuffled, sharded, resumable at any batch.

    MotionPair    a line of a manifest, or made from a seed and an index   manifest.PairSource
      LoadedPair  its sound, motion, grid and labels at one frame rate     loading.load_pair, PairCache
        Example   a clip of it, with what lies around its motion           example.cut_example, with_negatives
          Batch   clips as tensors, what the towers and losses are given   batch.collate

``reader.ClipReader`` plans an epoch and gives its batches as lists of examples, ``reader.Mixture`` takes
turns between corpora. Labels other than beats come with a LoadedPair and reach the Batch.
"""

# fairseq2's native part wants libsndfile; soundfile's wheel brings one where the system has none,
# if it is imported first.
import soundfile  # noqa: F401
