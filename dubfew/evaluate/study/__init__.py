"""Studies with people: blinded pairs on a static page, and what their answers say."""
