"""Experiment harness: specs, the tree of nodes that experiments share, runners and records."""
