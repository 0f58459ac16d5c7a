"""The experiment harness: specs, the tree of segments they share, the runner and the records."""
