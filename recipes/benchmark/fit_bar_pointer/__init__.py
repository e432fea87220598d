"""Fit the constants of the joint beat decoder (tracking/bar_pointer.py, tracking/decoded_grid.py) to dev
data.

    python -m recipes.benchmark.fit_bar_pointer CHECKPOINT OUT --sets data/dev_pop909 data/constructed:dev

The logits of the heads are computed once per recording and cached in OUT/activations. A seeded random search
of ``BarPointerWeights`` maximises the objective: the mean over sets of beat F (±70 ms) + 0.5 · downbeat F.
The pieces of each set are split into two folds. The weights are fitted to each fold and scored on the other;
the final weights are fitted to all pieces. Each of the three searches takes a third of ``--minutes`` of
processor time.

The current weights, the fitted ones, and the fitted ones without the tempo head are scored on held-out folds.
Calibrations and the pulse threshold are fitted to held-out paths.

OUT contains fit.json with all results, and fit.txt with the tables and the new constants for the source.
"""
