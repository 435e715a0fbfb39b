"""Networks whose features are compared, and the distances between them."""
