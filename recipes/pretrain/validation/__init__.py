"""What pretraining is validated by: measures as pure functions of what the towers said."""
