"""The browser page on which a person looks through the cases that inference segmented, and its server."""
