"""A publication's recipe from end to end, step by step, beside ours: what it gives where the truth is known."""
