"""Pages for people out of stored runs: files in, one HTML file out."""
