"""Dance generation: a diffusion model in the manner of EDGE, from the features of any upstream."""
