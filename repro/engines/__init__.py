"""Engines that train the nodes of a tree: ``local`` by our trainer, ``t5x`` by T5X.

`repro.engines.contract` defines the interface of an engine; `repro.engines.factory` creates one.
"""
