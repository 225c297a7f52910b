"""Geometry on the sphere, partitions and place names. All coordinates are (latitude, longitude) in degrees."""
