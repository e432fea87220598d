"""Records of results, and the tables computed from them.

Every task and every benchmark writes the same rows (:mod:`~recipes.results.record`): a task, the data, an
upstream with the hash of its weights, a seed, a fold, an item, its group, a measure and a value. Means,
intervals, differences (:mod:`~recipes.results.estimates`), tables and plots (:mod:`~recipes.results.tables`)
are computed from these rows alone.
"""
