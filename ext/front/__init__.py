"""The native front end; not built where nghttp2 is missing, and then not there to import."""
