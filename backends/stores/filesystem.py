"""Objects as files under one folder. A file appears by rename after fsync, so that a crash leaves the old object or the new one."""

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from backends.contracts.stores import (
    CHUNK_BYTES,
    Capability,
    MultipartStore,
    ObjectStat,
    Reader,
    StoredObject,
    check_key,
)
from backends.errors import ConfigError, Missing, NoCapacity, Rejected, Transient

_DRAFTS = ".drafts"
_UPLOADS = ".uploads"
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_LAST_PART = 10_000
_AHEAD_BYTES = 32 * 1024**2
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FilesystemStore(MultipartStore):
    """Bytes in `root`, one file per key. Drafts and parts live in hidden folders of the same root, where no key can point."""

    capabilities = frozenset({Capability.LOCAL_PATHS, Capability.MULTIPART})

    def __init__(self, root: str | Path) -> None:
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
            self.root = Path(root).resolve(strict=True)
            for name in (_DRAFTS, _UPLOADS):
                (self.root / name).mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the storage folder {root} cannot be used: {error.strerror}") from error

    def put(self, key: str, chunks: Iterable[bytes], *, size: int | None = None) -> StoredObject:
        target = self._path(key)
        draft = self.root / _DRAFTS / secrets.token_hex(16)
        with _clear_errors():
            try:
                stored = _write(draft, chunks, size)
                self._publish(draft, target)
            finally:
                draft.unlink(missing_ok=True)
        return stored

    def open(self, key: str, start: int = 0, end: int | None = None) -> "FileReader":
        with _clear_errors(key):
            # NOFOLLOW: a link planted by hand in the folder must not lead a reader out of it
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        return FileReader(descriptor, start, end)

    def stat(self, key: str) -> ObjectStat:
        with _clear_errors(key):
            return _stat_of(key, self._path(key).lstat())

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _clear_errors():
            path.unlink(missing_ok=True)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        folder, _, _ = prefix.rpartition("/")
        if folder:
            check_key(folder)
        yield from _walk(self.root / folder if folder else self.root, f"{folder}/" if folder else "", prefix)

    def move(self, source: str, target: str) -> None:
        origin, goal = self._path(source), self._path(target)
        with _clear_errors():
            try:
                self._publish(origin, goal)
            except FileNotFoundError:
                if not goal.is_file():
                    raise Missing(f"nothing is stored under {source}") from None

    def local_path(self, key: str) -> Path | None:
        return self._path(key)

    def begin_multipart(self, key: str) -> str:
        self._path(key)
        upload_id = secrets.token_hex(16)
        with _clear_errors():
            (self.root / _UPLOADS / upload_id).mkdir()
        return upload_id

    def put_part(
        self, key: str, upload_id: str, number: int, chunks: Iterable[bytes], *, size: int | None = None
    ) -> str:
        self._path(key)
        if not 1 <= number <= _LAST_PART:
            raise Rejected(f"a part is numbered 1 to {_LAST_PART}, not {number}")
        folder = self._upload(upload_id)
        if not folder.is_dir():
            raise Missing("this upload was completed or aborted")
        draft = folder / f".{secrets.token_hex(16)}"
        with _clear_errors():
            try:
                stored = _write(draft, chunks, size)
                draft.rename(folder / str(number))
            except FileNotFoundError:
                raise Missing("this upload was completed or aborted") from None
            finally:
                draft.unlink(missing_ok=True)
            (folder / f"{number}.tag").write_text(stored.sha256_hex)
        return stored.sha256_hex

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> ObjectStat:
        target = self._path(key)
        folder = self._upload(upload_id)
        if not folder.is_dir():
            return self.stat(key)
        numbers = [number for number, _ in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise Rejected("parts must be given once each, in ascending order")
        for number, tag in parts:
            if not _has_part(folder, number, tag):
                raise Rejected(f"part {number} was not received, or its tag is another")
        draft = self.root / _DRAFTS / secrets.token_hex(16)
        with _clear_errors():
            try:
                _join(draft, [folder / str(number) for number in numbers])
                self._publish(draft, target)
            finally:
                draft.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
        return self.stat(key)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        self._path(key)
        with _clear_errors():
            shutil.rmtree(self._upload(upload_id), ignore_errors=True)

    def abort_older(self, before: datetime) -> int:
        count = 0
        with _clear_errors():
            for left in (*(self.root / _UPLOADS).iterdir(), *(self.root / _DRAFTS).iterdir()):
                # gone meanwhile: that is what we want
                with contextlib.suppress(FileNotFoundError):
                    if left.lstat().st_mtime >= before.timestamp():
                        continue
                    if left.is_dir():
                        shutil.rmtree(left, ignore_errors=True)
                    else:
                        left.unlink()
                    count += 1
        return count

    def _path(self, key: str) -> Path:
        path = self.root / check_key(key)
        parent = os.path.realpath(path.parent)
        if parent != str(self.root) and not parent.startswith(f"{self.root}{os.sep}"):
            raise Rejected(f"the storage key leads out of the store: {key}")
        return path

    def _upload(self, upload_id: str) -> Path:
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise Rejected("not an upload of this store")
        return self.root / _UPLOADS / upload_id

    def _publish(self, draft: Path, target: Path) -> None:
        """Rename `draft` to `target` durably, making the folders between."""
        made = []
        folder = target.parent
        while not folder.is_dir():
            made.append(folder)
            folder = folder.parent
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(draft).replace(target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Rejected("one key may not be the folder of another") from None
        for changed in [target.parent, *(folder.parent for folder in made)]:
            _sync_folder(changed)


class FileReader(Reader):
    """A range of one open file; it stays readable when the object is deleted meanwhile."""

    def __init__(self, descriptor: int, start: int, end: int | None) -> None:
        self._file: io.FileIO = io.FileIO(descriptor, "rb")
        self._file.seek(max(start, 0))
        self._left = (os.fstat(descriptor).st_size if end is None else end) - max(start, 0)

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        if wanted <= 0:
            return b""
        data = self._file.read(wanted)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def _clear_errors(key: str = "") -> Iterator[None]:
    """Turn errors of the operating system into errors that say what to do next."""
    try:
        yield
    except FileNotFoundError as error:
        raise Missing(
            f"nothing is stored under {key}" if key else f"the storage folder is not there: {error.filename}"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise NoCapacity("the storage is full: free some space or enlarge the disk") from error
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}:
            raise Missing(f"nothing is stored under {key}") from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise ConfigError(f"the storage folder may not be written or read: {error}") from error
        if error.errno in {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.EINTR}:
            raise Transient(f"the storage does not answer: {error.strerror}") from error
        raise


def _write(draft: Path, chunks: Iterable[bytes], size: int | None) -> StoredObject:
    digest = hashlib.sha256()
    count = started = 0
    # hashing and the rest (receiving, writing) take turns otherwise; both leave the interpreter to others
    with ThreadPoolExecutor(1, "digest") as hasher, draft.open("xb", buffering=0) as out:
        hashed: Future[None] | None = None
        for chunk in chunks:
            if hashed is not None:
                hashed.result()
            hashed = hasher.submit(digest.update, chunk)
            view = memoryview(chunk)
            while view:
                # unbuffered: a short write must be continued here
                view = view[out.write(view) :]
            count += len(chunk)
            if size is not None and count > size:
                break
            if count - started >= _AHEAD_BYTES and hasattr(os, "posix_fadvise"):
                # what is written cannot be dropped yet: Linux begins to put it on the disk, and the end has less to wait for
                os.posix_fadvise(out.fileno(), started, count - started, os.POSIX_FADV_DONTNEED)
                started = count
        if size is not None and count != size:
            raise Rejected(f"{'more' if count > size else 'fewer'} bytes came than the stated {size}")
        os.fsync(out.fileno())
    return StoredObject(count, digest.hexdigest())


def _join(draft: Path, parts: Iterable[Path]) -> None:
    with draft.open("xb") as out:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out, CHUNK_BYTES)
        out.flush()
        os.fsync(out.fileno())


def _has_part(folder: Path, number: int, tag: str) -> bool:
    try:
        return (folder / str(number)).is_file() and (folder / f"{number}.tag").read_text() == tag
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stat_of(key: str, found: os.stat_result) -> ObjectStat:
    if not stat.S_ISREG(found.st_mode):
        raise Missing(f"nothing is stored under {key}")
    return ObjectStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _walk(folder: Path, path: str, prefix: str) -> Iterator[ObjectStat]:
    """Objects below `folder` (whose key is `path`), in the order of their keys: a folder sorts as if its name ended in `/`."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(
                (entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), entry) for entry in found
            )
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, entry in entries:
        key = path + name
        if name.startswith(".") or not (key.startswith(prefix) or prefix.startswith(key)):
            continue
        if name.endswith("/"):
            yield from _walk(folder / entry.name, key, prefix)
        elif key.startswith(prefix):
            # deleted between the listing and now: simply not there any more
            with contextlib.suppress(FileNotFoundError, Missing):
                yield _stat_of(key, entry.stat(follow_symlinks=False))
