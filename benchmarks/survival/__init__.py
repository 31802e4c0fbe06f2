"""What the package survives: kills, full disks and memory, hostile texts and files, repetition."""
