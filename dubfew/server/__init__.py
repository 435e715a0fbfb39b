"""``dubfew serve``: an HTTP server over the queue of jobs.

Its packages are the extra ``serve``; they are imported inside functions.
"""
