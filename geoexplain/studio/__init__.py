"""The browser app: layout, event handlers and guards. It computes nothing itself."""
