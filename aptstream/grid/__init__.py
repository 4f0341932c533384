"""The answer: overlapping judgements of cubes summed into voxels, particles found in them, and held against truth."""
