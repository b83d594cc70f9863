"""The API keys that are in force, and a brake on guessing one."""

import asyncio
import hmac
import time
from collections import OrderedDict
from pathlib import Path

import structlog

from rerank_plugins.errors import InvalidValueError, RerankError
from rerank_plugins.options.service import check_keys

_log = structlog.get_logger("rerank_plugins.service")


class Keys:
    """The keys of the settings, and those of a file, which is read again when asked.

    Args:
        fixed: Keys from the settings.
        file: A file with a key on each line; blank lines and those that begin with # are skipped.

    Raises:
        InvalidValueError: If the file can't be read, has no key, or has one that is not allowed.

    Examples:
        >>> Keys(("0123456789abcdef",)).match("0123456789abcdef")
        True
    """

    def __init__(self, fixed: tuple[str, ...], file: str | None = None) -> None:
        self._fixed = [key.encode() for key in fixed]
        self._file = file
        self._keys = self._read()

    def __bool__(self) -> bool:
        return bool(self._keys)

    def match(self, sent: str) -> bool:
        """Whether a key is one of them.

        All are compared, each in constant time: the time taken says nothing about how close a guess is.
        """
        matches = [hmac.compare_digest(sent.encode(), known) for known in self._keys]
        return any(matches)

    def reload(self) -> None:
        """Read the file again; if that fails, the keys stay as they are, and the log says so."""
        try:
            self._keys = self._read()
        except RerankError as error:
            _log.error("API keys not reloaded", error=str(error))
        else:
            _log.info("API keys reloaded", keys=len(self._keys))

    def _read(self) -> list[bytes]:
        if self._file is None:
            return self._fixed
        try:
            lines = Path(self._file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValueError(f"api_keys_file={self._file!r} can't be read: {error}.") from None
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not keys:
            raise InvalidValueError(f"api_keys_file={self._file!r} has no key. Write one on each line.")
        return [*self._fixed, *(key.encode() for key in check_keys("api_keys_file", keys))]


# Wrong keys from one address that are answered immediately, and how long they are remembered.
_FREE_GUESSES = 20
_REMEMBERED_SECONDS = 60.0
# After them, how long an answer to that address takes, and how many may wait for theirs at once.
_BRAKE_SECONDS = 1.0
_MOST_WAITING = 16
_MOST_ADDRESSES = 10_000


class Brake:
    """Slows down addresses that guess keys, to 16 guesses a second, however many connections they have.

    Right keys wait as wrong ones do: else a quick answer would tell. Nobody is locked out, since callers behind one
    proxy share its address.
    """

    def __init__(self) -> None:
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting: dict[str, int] = {}

    async def wait(self, address: str) -> bool:
        """Wait before a key of an address is looked at, if many were wrong.

        Returns:
            False if too many of that address wait already.
        """
        count, since = self._guesses.get(address, (0, 0.0))
        if count < _FREE_GUESSES or time.monotonic() - since > _REMEMBERED_SECONDS:
            return True
        waiting = self._waiting.get(address, 0)
        if waiting >= _MOST_WAITING:
            return False
        self._waiting[address] = waiting + 1
        try:
            await asyncio.sleep(_BRAKE_SECONDS)
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
        return True

    def note_wrong(self, address: str) -> None:
        """Remember that a key of an address was wrong."""
        count, since = self._guesses.pop(address, (0, 0.0))
        if time.monotonic() - since > _REMEMBERED_SECONDS:
            count = 0
        self._guesses[address] = (count + 1, time.monotonic())
        if len(self._guesses) > _MOST_ADDRESSES:
            self._guesses.popitem(last=False)
