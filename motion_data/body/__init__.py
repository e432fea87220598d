"""What a body is made of and how it moves: rotations, kinematics, SMPL, resampling, gaps, retargeting."""
