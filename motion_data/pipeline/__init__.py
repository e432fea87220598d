"""Batches of clips from pairs: cut, bucketed, shuffled, shared among ranks, resumable at any batch.

    MotionPair    a line of a manifest, or generated from a seed and index   manifest.PairSource
      LoadedPair  its sound, motion, grid and labels at one frame rate       loading.load_pair, PairCache
        Example   a clip of it, with a margin of motion around it            example.cut_example
          Batch   clips as tensors for the towers and losses                 batch.collate

``reader.ClipReader`` plans an epoch and returns its batches as lists of examples; ``reader.Mixture``
alternates between corpora. Labels other than beats are part of LoadedPair, Example and Batch.
"""

# fairseq2 needs libsndfile. soundfile's wheel contains one, if it is imported first.
import soundfile  # noqa: F401
