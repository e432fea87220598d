"""A task's training as a recipe that can be launched: it goes on from its last checkpoint by itself.

    python -m recipes.downstream.task_run OUT -u fbank -d beat_tracking
    python -m recipes.launch downstream --cluster slurm --folder OUT --gpus 1 -- -u fbank -d beat_tracking

The options are those of ``run_downstream.py``, but for ``-m``, ``-p`` and ``-e``. A run that was preempted or
ran out of time is queued again by the launcher, and goes on from the last ``states-STEP.ckpt`` in OUT.
"""
