"""Readers of the official benchmarks' release files, and of TensorFlow Datasets' descriptions."""
