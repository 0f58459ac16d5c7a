"""SPACTOR-T5: span corruption plus replaced token detection, in two stages.

This package is the method and its trainer; see ``repro`` for experiments,
plans and runs. Importing it loads no numerical library.
"""
