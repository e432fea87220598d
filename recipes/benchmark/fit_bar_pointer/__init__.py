"""Fits the constants of the joint beat decoder (beats/bar_pointer.py, beats/decoded_grid.py) to dev data.

    python -m recipes.benchmark.fit_bar_pointer CHECKPOINT OUT --sets data/dev_pop909 data/constructed:dev

The heads' logits of each recording are computed once and kept in OUT/activations. A
seeded random search of ``BarPointerWeights`` then maximises the objective: the mean over sets of beat F
(±70 ms) + 0.5 · downbeat F. The pieces of each set are split into two folds. The weights are fitted to either
fold and scored on the other one; the weights to paste are fitted to all. Three searches take a third of
``--minutes`` of processor time each.

Scored on held-out folds: the weights that are there now, the fitted ones, and the fitted ones without the
tempo head. Calibrations and the least pulse are fitted to held-out paths.

Written to OUT: fit.json with all figures, and fit.txt with the tables and the constants to paste.
"""
