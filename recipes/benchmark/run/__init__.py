"""Every upstream on every task whose data is at hand, in one table.

    python -m recipes.benchmark run result/table --data DIR --upstreams motionbeat motionbeat_log_mel

DIR holds data sets under the names of their layouts (gtzan, nsynth, emomusic …). What is missing is listed
with the place where it is obtained, and is no part of the table. A finished run is not repeated, so the
same command goes on where it was interrupted; features are computed once for each upstream and kept in
OUT/features, up to 20 GB of those per frame. Several such commands, each with its own upstreams, may share
OUT (--no-table); on a cluster, recipes.launch makes them a job array.
"""
