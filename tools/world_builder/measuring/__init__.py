"""What the world, its base model and the stages of the course come to, in numbers."""
