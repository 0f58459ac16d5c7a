"""Real text without a download: corpus, vocabulary, token arrays, seqio tasks and suites.

This file imports nothing, so that `arrays` works where only NumPy is installed.
"""
