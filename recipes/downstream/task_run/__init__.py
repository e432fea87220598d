"""The training of a task as a recipe for the launcher. It resumes from its last checkpoint.

    python -m recipes.downstream.task_run OUT -u fbank -d beat_tracking
    python -m recipes.launch downstream --cluster slurm --folder OUT --gpus 1 -- -u fbank -d beat_tracking

The options are those of ``run_downstream.py`` except ``-m``, ``-p`` and ``-e``. If a run is preempted or
reaches its time limit, the launcher queues it again, and it resumes from the last ``states-STEP.ckpt`` in
OUT.
"""
