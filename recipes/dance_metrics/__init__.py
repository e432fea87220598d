"""Measures of generated dances, compared with those of true dances.

FID and diversity of kinetic and geometric features, two beat alignment scores, physical foot contact, foot
skating, and contacts at exact beats and steps; :func:`~recipes.dance_metrics.scores.dance_scores` computes
them all. Published code uses frames as units; here dances are resampled to the frame rate of the published
code, so that scores do not depend on their frame rate.

    python -m recipes.benchmark dance-metrics GENERATED TRUTH --music DIR -o OUT
"""
