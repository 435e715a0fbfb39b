"""Scripts that build what dubfew ships or measure its code. They are not in the wheel."""
