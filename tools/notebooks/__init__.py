"""What makes the repository's notebooks; nobody who takes the course needs it."""
