"""What it looks like: spatial distribution maps of cubes and free regions, and how they become network input."""
