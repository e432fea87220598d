"""Bodies: rotations, kinematics, SMPL, resampling, gap filling, retargeting."""
