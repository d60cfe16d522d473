"""Received instances on the disk, and their rows in the ledger: first both, then the success.

An instance is acknowledged only when its file, the file's name and its row will outlive a power cut. All three are put
on the disk at the same time, as waiting for one after the other would take three times as long. So a crash may leave a
file without a row, or a row without a whole file. Neither was acknowledged, and the next start takes them away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from typing import Final

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info

from tamperscan.serve.database import Database
from tamperscan.serve.home import Home

IMPLEMENTATION_CLASS_UID: Final = "2.25.284146735925434215309124937106826474981"
"""Names this software in an association and in file meta information (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION: Final = "TAMPERSCAN"

PART: Final = ".part"
_GROUP: Final = 500


@dataclass(frozen=True)
class Receipt:
    """One received instance, as the ledger keeps it."""

    file: str
    sha256: str
    size: int
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    sender: str
    called: str
    address: str
    arrived: float


_COLUMNS: Final = ", ".join(field.name for field in fields(Receipt))
_INSERT: Final = f"INSERT INTO instances ({_COLUMNS}) VALUES ({', '.join('?' * len(fields(Receipt)))})"


class Incoming:
    """The file of an instance that is arriving.

    Parameters
    ----------
    home
        Whose spool.
    sop_class, sop_uid, transfer_syntax
        For the file meta information (PS3.10 section 7.1).

    Raises
    ------
    OSError
        If the disk does not take it; nothing is left then.
    """

    def __init__(self, home: Home, sop_class: str, sop_uid: str, transfer_syntax: str) -> None:
        self._spool = home.spool
        self._path = home.spool / f".{os.getpid()}-{secrets.token_hex(8)}{PART}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._digest = hashlib.sha256()
        try:
            _write_all(self._file, memoryview(file_meta(sop_class, sop_uid, transfer_syntax)))
        except BaseException:
            self.abandon()
            raise

    def write(self, content: memoryview) -> None:
        """Add the data set.

        Raises
        ------
        OSError
            If the disk does not take it; nothing is left then.
        """
        try:
            _write_all(self._file, content)
        except BaseException:
            self.abandon()
            raise
        self._digest.update(content)

    def name(self) -> tuple[str, str, int]:
        """Give the whole file its name.

        Returns
        -------
        name, sha256, size
            Its name in the spool: the digest of the data set and a random part, so that two arrivals of the same
            instance are two files; the digest; and the file's size in bytes.

        Raises
        ------
        OSError
            If the disk does not take it; nothing is left then.
        """
        digest = self._digest.hexdigest()
        name = f"{digest}-{secrets.token_hex(4)}.dcm"
        try:
            size = os.fstat(self._file).st_size
            self._path.rename(self._spool / name)
            self._path = self._spool / name
        except BaseException:
            self.abandon()
            raise
        return name, digest, size

    def close(self, *, durable: bool = True) -> None:
        """Put the named file on the disk.

        Parameters
        ----------
        durable
            Whether to wait until it is there.

        Raises
        ------
        OSError
            If the disk does not take it; nothing is left then.
        """
        try:
            if durable:
                os.fsync(self._file)
        except BaseException:
            self.abandon()
            raise
        os.close(self._file)

    def abandon(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            os.close(self._file)
        self._path.unlink(missing_ok=True)


class Ledger:
    """Enters receipts into the database, as many at a time as are waiting.

    Parameters
    ----------
    home
        Whose.
    durable
        Whether a power cut may cost nothing that was acknowledged; otherwise only a crash of the process may not.
    """

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self._home, self._durable = home, durable
        self._database = Database(home, durable=durable)
        self._folder = os.open(home.spool, os.O_RDONLY | os.O_CLOEXEC)
        self._pool = ThreadPoolExecutor(1)
        self._waiting: queue.SimpleQueue[tuple[Receipt, Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def enter(self, receipt: Receipt) -> Future[None]:
        """Begin to enter a receipt, whose file has its name; it is kept when the future has a result."""
        done: Future[None] = Future()
        self._waiting.put((receipt, done))
        return done

    def withdraw(self, receipt: Receipt) -> None:
        """Take back a receipt whose file could not be put on the disk."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM instances WHERE file = ?", (receipt.file,))

    def close(self) -> None:
        """Enter what is waiting, and end."""
        self._waiting.put(None)
        self._thread.join()
        self._pool.shutdown()
        self._database.close()
        os.close(self._folder)

    def _run(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            group = [first, *self._others()]
            try:
                self._enter([receipt for receipt, _ in group])
            except Exception as error:  # each sender is told; the next group may go well
                for _, done in group:
                    done.set_exception(error)
            else:
                for _, done in group:
                    done.set_result(None)

    def _others(self) -> Iterator[tuple[Receipt, Future[None]]]:
        for _ in range(_GROUP):
            try:
                other = self._waiting.get_nowait()
            except queue.Empty:
                return
            if other is None:
                self._waiting.put(None)
                return
            yield other

    def _enter(self, receipts: list[Receipt]) -> None:
        names = self._pool.submit(os.fsync, self._folder) if self._durable else None
        with self._database.transaction() as connection:
            connection.executemany(_INSERT, [astuple(receipt) for receipt in receipts])
        if names is not None:
            names.result()


def file_meta(sop_class: str, sop_uid: str, transfer_syntax: str) -> bytes:
    """Make the preamble and file meta information of a file (PS3.10 section 7.1), of UIDs as they were sent."""
    values = {
        "MediaStorageSOPClassUID": sop_class,
        "MediaStorageSOPInstanceUID": sop_uid,
        "TransferSyntaxUID": transfer_syntax,
        "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
    }
    meta = FileMetaDataset()
    for keyword, value in values.items():
        meta.add(DataElement(keyword, "UI", value, validation_mode=config.IGNORE))
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    content = DicomBytesIO()
    write_file_meta_info(content, meta)
    return bytes(128) + b"DICM" + content.getvalue()


def _write_all(file: int, content: memoryview) -> None:
    while content:
        content = content[os.write(file, content) :]
