"""What was learned: networks as data, their training, their files, and prediction without TensorFlow."""
