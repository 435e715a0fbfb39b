"""Takes: mouth motion as a file, with edits beside it that survive a new prediction."""

from dubfew.utils.lazy_exports import lazy_exports

__getattr__ = lazy_exports(
    __name__,
    {
        "MotionEdit": "edits",
        "Take": "take",
        "TakeSource": "take",
        "record_motion": "record",
    },
)
