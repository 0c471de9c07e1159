"""Published checkpoints: known by name and hash, downloaded once, kept in a cache."""
