"""S3PRL 0.4's downstream runner, for tasks and upstreams that it does not bring.

``run_downstream.py`` starts S3PRL's own command. What that command lacks is added from outside, and nothing
of it stays in the process afterwards.

=================  ==========================================================================================
module             what S3PRL does, and what is done about it
=================  ==========================================================================================
``registration``   It finds tasks in its own package and upstreams in its hub: ours are added while a run
                   takes. Its wheel packages no configurations of its tasks: ``configs`` holds some.
``options``        Its parser needs all of S3PRL, seconds of imports: the options are declared again.
``request``        It finds mistakes late or not at all: they are refused before anything is written.
``patches``        Its command changes the process for good (``isinstance``, random states, loggers …): that
                   is put back. It writes checkpoints under their final names, and removes old ones first:
                   they are written whole, then old ones go.
``run_files``      It unpickles any checkpoint and overwrites any folder: checkpoints are read with
                   ``weights_only``, and the files of an earlier training are known.
``kept_features``  It calls a frozen upstream on every batch of every epoch: features are computed once, and
                   kept on disk for other epochs, seeds and folds.
``checked_runner`` It sums the layers of an upstream before the task sees them, ends without saying what was
                   reached, and fails on features that are no sequences.
``task_expert``    It saves the checkpoints that a task names: the base of our tasks chooses them on dev, and
                   scores test for those alone.
``task_settings``  It hands a task a dictionary: settings are checked, and all faults are told at once.
=================  ==========================================================================================
"""
