"""The command line: one file a command, with no logic of its own."""
