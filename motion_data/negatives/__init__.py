"""Hard negatives of the Embodied Contrastive Loss, as recipes: motions that almost fit a piece of music."""
