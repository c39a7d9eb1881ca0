"""Where files are that are not on this machine's own disk: `s3://bucket/key` and whatever else fsspec reads.

Credentials are the store's own matter (environment, profile, role of the machine) and have no place in an URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from plad.errors import PladError

EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Which of our extras brings what a protocol needs."""


def is_url(path: str | Path) -> bool:
    """Whether it names a file by protocol, as opposed to a path of this machine."""
    return "://" in str(path)


@dataclass(frozen=True)
class Remote:
    """A file or folder behind an URL; what is needed to read it as one reads a `Path`."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def suffixes(self) -> list[str]:
        """The endings of its name."""
        return PurePosixPath(self.url).suffixes

    def open(self, mode: str = "rb") -> IO[Any]:
        """The file, opened to be read from the beginning to the end.

        Raises:
            PladError: it is not there, or the store does not let us in.
        """
        with told(self.url):
            system, path = connected(self.url)
            opened: IO[Any] = system.open(path, mode)
            return opened

    def describe(self) -> list[Any]:
        """URL, size and version: enough to notice an edit."""
        with told(self.url):
            system, path = connected(self.url)
            found = system.find(path, detail=True) if system.isdir(path) else {path: system.info(path)}
        return [[name, info.get("size"), _version(info)] for name, info in sorted(found.items())]

    def files(self) -> list[Remote]:
        """Itself where it is a file, else the files in it, or the matches of the glob that it is, by path."""
        with told(self.url):
            system, path = connected(self.url)
            found = system.glob(path) if "*" in path else [path] if system.isfile(path) else system.find(path)
        return [Remote(system.unstrip_protocol(name)) for name in sorted(found)]


def connected(url: str) -> tuple[Any, str]:
    """The file system of an URL, and the path in it. Listings are never remembered: others write there too.

    Raises:
        PladError: nobody here speaks its protocol, or a password stands in it.
    """
    from fsspec.core import url_to_fs

    if urlsplit(url).password is not None:
        raise PladError("credentials have no place in an URL, which is kept in files. Set those of the environment.")
    protocol = url.partition("://")[0]
    options: dict[str, Any] = {"auto_mkdir": True} if protocol in ("file", "local") else {}
    if protocol in EXTRAS:
        options["use_listings_cache"] = False
    try:
        system, path = url_to_fs(url, **options)
    except ImportError:
        extra = EXTRAS.get(protocol)
        remedy = f"pip install 'plad[{extra}]'" if extra else f"pip install 'fsspec[{protocol}]'"
        raise PladError(f"{url} needs a package that speaks {protocol}://. Run: {remedy}") from None
    except ValueError as error:
        raise PladError(f"{url} must begin with a protocol that fsspec knows, such as s3://: {error}") from None
    return system, path


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn the many errors of a store into one of ours, without what they say of the request: keys may stand there.

    Raises:
        PladError: the store does not let us in, has no such bucket or file, or is not reached.
    """
    try:
        yield
    except PladError:
        raise
    except FileNotFoundError:
        raise PladError(f"{url} must be there, but the store has no such file or bucket. Check its name.") from None
    except PermissionError:
        raise PladError(
            f"{url} must be ours to read and write, but the store refuses it. Check the bucket's policy and the "
            "credentials (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)."
        ) from None
    except Exception as error:  # each store raises its own kinds
        kind = type(error).__name__
        if "Credentials" in kind:
            raise PladError(
                f"{url} needs credentials, and there are none ({kind}). For S3 set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            ) from None
        if not isinstance(error, OSError) and not kind.endswith(("Error", "Timeout")):
            raise
        raise PladError(
            f"{url} can't be reached ({kind}). Check the network, and for S3 the region and AWS_ENDPOINT_URL."
        ) from error


def _version(info: dict[str, Any]) -> str | None:
    found = (info.get(name) for name in ("ETag", "etag", "mtime", "LastModified", "created"))
    return next((str(value) for value in found if value is not None), None)
