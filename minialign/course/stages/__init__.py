"""What a stage is made of: presets (settings), recipes (training), the cache of what is made."""
