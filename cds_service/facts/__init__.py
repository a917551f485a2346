"""The policy inputs: one file per fact, each with its meaning, where it is found and how it is read."""
