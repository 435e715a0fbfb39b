"""``dubfew app``: a page in the browser of this machine, over the queue of jobs.

Gradio is the extra ``app``; it is imported inside functions.
"""
