"""Dances to music by a diffusion model of EDGE's kind, from any upstream's features."""
