"""Where on Earth: spheres, partitions and place names. Coordinates are (latitude, longitude) in degrees throughout."""
