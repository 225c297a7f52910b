"""Images and coordinates → a GeoModel. Nothing here needs a browser or a map library."""
