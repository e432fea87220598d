"""How good generated dances are: the measures of music-to-dance generation, beside those of the true ones.

FID and diversity of kinetic and geometric features, beat alignment both ways round, physical foot contact,
foot skating, and contacts against exact beats and steps. :func:`~recipes.dance_metrics.scores.dance_scores`
gives them all. Published codes count in frames; here everything is counted in seconds and metres, at the
published code's own rate, so that a dance scores the same at any frame rate.

    python -m recipes.benchmark dance-metrics GENERATED TRUTH --music DIR -o OUT
"""
