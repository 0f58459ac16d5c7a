"""Real text without a download: corpus, vocabulary, token arrays, seqio tasks and suites.

Nothing is imported here: `arrays` must stay usable where only NumPy is installed.
"""
