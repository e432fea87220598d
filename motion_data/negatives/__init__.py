"""Hard negatives of the Embodied Contrastive Loss, as recipes: motion that is almost right for a piece of
music, and is not."""
