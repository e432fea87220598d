"""A motion in the formats of other programs: BVH for animation, AIST++'s pickle for dance generation."""
