"""Every table and figure of the README, one command each."""
