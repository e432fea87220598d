"""Pairs that are made: tunes arranged and rendered, danced to by a parametric dancer or by real capture."""
