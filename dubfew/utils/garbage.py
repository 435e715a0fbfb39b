"""Python's search for objects that refer to each other in circles."""

from __future__ import annotations

import gc

# New objects after which the young ones are searched. Python's own number, 700, has it search 660
# times in a render of three seconds, and five times through all million objects of the imports:
# a twentieth of the processor time. Frames and masks are in no circles, and are freed at once.
_NEW_OBJECTS = 10_000


def search_garbage_rarely() -> None:
    """Have Python search for circular garbage less often.

    For the command line alone: the setting holds for the whole process. To be called before large
    packages are imported.
    """
    if gc.isenabled():
        gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
