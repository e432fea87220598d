"""Evaluate upstreams on all tasks with available data, in one table.

    python -m recipes.benchmark run result/table --data DIR --upstreams motionbeat motionbeat_log_mel

DIR contains data sets under the names of their layouts (gtzan, nsynth, emomusic …). Missing data sets are
listed with their sources and are not part of the table. Finished runs are not repeated: run the same command
to resume. Features are computed once per upstream and cached in OUT/features, frame-wise ones up to 20 GB.
Several commands with different upstreams can share OUT (--no-table); on a cluster, recipes.launch runs them
as a job array.
"""
