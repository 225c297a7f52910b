"""The browser app: layout, handlers, guards. No computation."""
