"""What is done with the upstream and the data: tasks, benchmarks, pretraining, launching."""
