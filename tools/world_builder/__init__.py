"""What made data/ and the base model; nobody who takes the course needs it."""
