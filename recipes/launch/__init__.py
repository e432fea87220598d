"""Starting recipes on a SLURM cluster or on this machine; watching and stopping them."""
