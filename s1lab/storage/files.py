"""The one way in which files are written: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota, a limit on a file's size


def local(path: str | Path) -> Path:
    """A path that a user gave, with "~" for the home folder."""
    return Path(os.path.expanduser(path))


def write_whole(path: str | Path, lines: Iterable[bytes], *, new: bool = False) -> None:
    """Write a file whole or not at all.

    It replaces a file at ``path``. If writing fails or is interrupted, that file stays as it was,
    and nothing is left beside it. Missing folders are made. Several processes may write the same
    file: each one has a temporary file of its own, and the last one to finish is kept whole.

    Args:
        path: The file.
        lines: Its content, in parts.
        new: Refuse a file that is there, even one that appeared meanwhile.

    Raises:
        FileExistsError: With ``new``, the file exists. It is not overwritten.
        OSError: The file can't be written. The message names it and says why.
    """
    path = _place(path)
    with _named(path), _written(path, lines) as half:
        if new:
            _link(half, path)
        else:
            os.replace(half, path)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files, each as `write_whole` does. None is replaced before all are written.

    Args:
        files: The files, each with its content.

    Raises:
        OSError: A file can't be written. The message names it, and all old files are as they were.
    """
    with contextlib.ExitStack() as stack:
        halves = {}
        for given, content in files.items():
            path = _place(given)
            with _named(path):
                halves[path] = stack.enter_context(_written(path, [content]))
        for path, half in halves.items():
            with _named(path):
                os.replace(half, path)


@contextlib.contextmanager
def _written(path: Path, lines: Iterable[bytes]) -> Iterator[Path]:
    """A temporary file beside ``path`` with all of its content, removed at the end if left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    half = path.with_name(f"{_prefix(path)}{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with half.open("xb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())  # some disks say only here that they are full
        yield half
    finally:  # after Ctrl-C too
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)


@contextlib.contextmanager
def unfinished(folder: str | Path) -> Iterator[Path]:
    """An empty folder to write into, which becomes ``folder`` if the block ends without an error.

    So a folder too is written whole or not at all. If another process has written it meanwhile,
    that one is kept.

    Args:
        folder: The folder that does not exist yet. Folders above it are made.

    Yields:
        The folder to write into.

    Raises:
        OSError: It can't be written. The message names it and says why.
    """
    folder = local(folder)
    prefix = _prefix(folder)
    with _named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for half in folder.parent.glob(f"{prefix}*.part"):
            owner = half.name.removeprefix(prefix).partition("-")[0]
            if owner.isdecimal() and not _alive(int(owner)):
                shutil.rmtree(half, ignore_errors=True)
        half = folder.with_name(f"{prefix}{os.getpid()}-{secrets.token_hex(4)}.part")
        half.mkdir()
        try:
            yield half
            with contextlib.suppress(OSError):  # it is there already
                half.rename(folder)
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder} could not be written: name another cache")
        finally:
            shutil.rmtree(half, ignore_errors=True)


def check_writable(path: str | Path) -> None:
    """Refuse a path that can't be written, before hours of work end at it.

    Missing folders are made. A file that is there is not touched.

    Args:
        path: The file that will be written.

    Raises:
        OSError: It can't be written. The message names it and says why.
    """
    path = _place(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.stat()  # the name may be too long
        tried = path.with_name(f"{_prefix(path)}{os.getpid()}-{secrets.token_hex(4)}.part")
        tried.touch(exist_ok=False)
        tried.unlink()


def is_leftover(path: Path) -> bool:
    """Whether a file is the half of a file that a killed process of this package was writing."""
    return path.name.startswith(".s1lab-") and path.name.endswith(".part")


def _place(path: str | Path) -> Path:
    """The file itself, behind any links. Refuses what is no file: a folder, a device, a pipe."""
    given = local(path)
    real = Path(os.path.realpath(given))
    # The functions of os.path take a name that is too long as one that is not there.
    if os.path.isdir(real):
        raise IsADirectoryError(f"{given} is a folder: name a file in it")
    if os.path.exists(real) and not os.path.isfile(real):
        raise OSError(f"{given} is a device or a pipe, which can't be replaced: name a file")
    above = next(folder for folder in real.parents if os.path.exists(folder))
    if not os.path.isdir(above):
        raise NotADirectoryError(f"{given} can't be written: {above} is no folder")
    return real


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say which file could not be written, and why, in one sentence."""
    try:
        yield
    except OSError as why:
        if why.errno is None:  # a sentence already
            raise
        fix = "make room" if why.errno in FULL else "name a file in a folder that can be written"
        raise type(why)(f"{path} can't be written ({why.strerror}): {fix}") from why


def _prefix(path: Path) -> str:
    """How the temporary files of this file begin, those of processes on this machine.

    Both names are hashed, because a file's name may be as long as names can be.
    """
    parts = (hashlib.blake2b(part.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
             for part in (path.name, platform.node()))  # fmt: skip
    return f".s1lab-{'-'.join(parts)}-"


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of this file whose processes were killed."""
    prefix = _prefix(path)
    for half in path.parent.glob(f"{prefix}*.part"):
        owner = half.name.removeprefix(prefix).partition("-")[0]
        if owner.isdecimal() and not _alive(int(owner)):
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to somebody else, or is no process
        return True
    return True


def _link(half: Path, path: Path) -> None:
    """Give a file its name, if nobody else has it."""
    taken = FileExistsError(f"{path} is there already: choose another name, or remove it first")
    try:
        os.link(half, path)
    except FileExistsError:
        raise taken from None
    except OSError:  # a disk without hard links
        if path.exists():
            raise taken from None
        os.replace(half, path)
