"""How good an output is: measures against the original, contact sheets, reports."""
