"""SPACTOR for T5X: models, features, data streams, restoring and gin, over the method's functions.

T5X is on no package registry: ``t5x-sources.txt`` names its commits. Only this package imports it.
"""
