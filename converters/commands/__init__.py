"""The command lines. Flags are parsed before anything heavy is imported."""
