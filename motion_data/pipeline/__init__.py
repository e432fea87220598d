"""Prepared corpora as batches of clips: cut, bucketed, shuffled, sharded, resumable at any batch."""

# fairseq2's native part wants libsndfile; soundfile's wheel brings one where the system has none,
# if it is imported first.
import soundfile  # noqa: F401
