"""Python's search for objects that refer to each other in circles."""

from __future__ import annotations

import atexit
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


def skip_last_search() -> None:
    """Have Python end without a last search for circular garbage.

    At its end Python searches all objects of the imports, three times, and frees each: 0.5 s of
    processor time after torch. The system takes the memory of a process that ends anyway. Functions
    of `atexit` and `weakref.finalize` are called all the same, so that temporary files are removed.
    For the command line alone, as `search_garbage_rarely`.
    """
    atexit.register(gc.freeze)
