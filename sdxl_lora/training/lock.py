"""One run in one output folder: two would mix their journals and delete each other's unfinished checkpoints."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdxl_lora.errors import StorageError, TrainingError

NAME = ".lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, no other process can hold `folder`; the system lets go of it however a process ends.

    A folder that was made for it and stays empty, because the run could not start, is removed again.
    Raises `TrainingError` when another run holds it, `StorageError` when nothing can be written there.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"--output_dir {folder} cannot be written: {error.strerror}; choose another"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise TrainingError(
                f"another run (process {file.read().strip() or 'unknown'}) is writing to {folder}; "
                "wait for it, or choose another --output_dir"
            ) from None
        except OSError:  # a file system without locks
            yield
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            if made and [path.name for path in folder.iterdir()] == [NAME]:
                (folder / NAME).unlink()
                folder.rmdir()
