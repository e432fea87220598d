"""One record of results, and the tables made of it.

Every task and every benchmark writes the same rows (:mod:`~recipes.results.record`): a task, the data, an
upstream with the hash of its weights, a seed, a fold, an item, its group, a measure and a value. Means,
intervals and differences are computed from these rows alone (:mod:`~recipes.results.estimates`), and so are
tables and plots (:mod:`~recipes.results.tables`).
"""
