"""S3PRL 0.4's downstream runner, extended by tasks and upstreams of this project.

``run_downstream.py`` starts S3PRL's own command. The extensions below are removed when it ends.

===================  ========================================================================================
module               behaviour of S3PRL, and the extension
===================  ========================================================================================
``registration``     S3PRL finds tasks in its own package and upstreams in its hub: ours are added during a
                     run. Its wheel lacks the configurations of its tasks: ``configs`` contains some.
``options``          Its parser requires to import all of S3PRL, which takes seconds: the options are
                     declared again.
``request``          It detects errors late or not at all: they are reported before anything is written.
``patches``          Its command changes global state (``isinstance``, random states, loggers …), which is
                     restored. It writes checkpoints under their final names and removes old ones first:
                     here they are written atomically, and old ones are removed afterwards.
``run_files``        It unpickles any checkpoint and overwrites any folder: checkpoints are read with
                     ``weights_only``, and the files of an earlier training are recognised.
``cached_upstream``  It runs a frozen upstream on every batch of every epoch: features are computed once and
                     cached on disk for other epochs, seeds and folds.
``checked_runner``   It sums the layers of an upstream before the task, ends without a summary, and fails on
                     features that are not sequences.
``task_expert``      It saves the checkpoints that a task names: the base class of our tasks selects them on
                     dev, and scores only these on test.
``task_settings``    It passes a dictionary to a task: settings are validated, and all errors are reported.
===================  ========================================================================================
"""
