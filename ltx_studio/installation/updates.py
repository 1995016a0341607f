"""Whether a release is worth offering, and what it would fetch: pure, from the feed and what is installed.

A shell update is small and comes by itself. An engine is fetched again only where the release's lock for this machine's
target is another one, and that is said with its size before anything is fetched.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Self

from ltx_studio.installation.errors import InstallError
from ltx_studio.installation.locks import Wheel
from ltx_studio.installation.state import Installation

FORMAT = 1
# In the clear only from this machine, where tests serve it.
_ADDRESS = re.compile(r"https://[\w.-]+(:\d+)?/\S+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/\S+")


@dataclass(frozen=True)
class Release:
    """`kit` is an archive (zip) of a kit's code, locks and studio; `engines` has (lock digest, bytes) by target."""

    version: str
    notes: str
    kit: Wheel
    engines: dict[str, tuple[str, int]]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises InstallError for what is no feed, or one that would be fetched in the clear."""
        try:
            values: dict[str, Any] = json.loads(content)
            if values["format"] != FORMAT:
                raise ValueError(values["format"])
            version, kit = str(values["version"]), values["kit"]
            numbers(version)
            url, sha256 = str(kit["url"]), str(kit["sha256"])
            if not _ADDRESS.fullmatch(url):
                raise ValueError(url)
            if not re.fullmatch("[0-9a-f]{64}", sha256):
                raise ValueError(sha256)
            file = f"ltx-studio-kit-{version}.zip"
            engines = {
                str(target): (str(engine["lock"]), int(engine["size_bytes"]))
                for target, engine in values.get("engines", {}).items()
            }
            wheel = Wheel("ltx-studio-kit", version, file, url, sha256, int(kit["size_bytes"]))
            return cls(version, str(values.get("notes", "")), wheel, engines)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InstallError(
                "bad-feed", "The list of releases cannot be read.", remedy="Try again later, or get a new package."
            ) from error


@dataclass(frozen=True)
class Offer:
    """`engine_bytes` is 0 where the engine stays as it is."""

    version: str
    notes: str
    shell_bytes: int
    engine_bytes: int


def offer(release: Release, installation: Installation, version: str) -> Offer | None:
    """None where `version`, which runs now, is as new, or the user did not want this one."""
    if numbers(release.version) <= numbers(version) or release.version == installation.skipped_version:
        return None
    current = installation.engine.current
    lock, size_bytes = ("", 0) if current is None else release.engines.get(current.target, ("", 0))
    has_other_engine = current is not None and lock not in {"", current.lock}
    return Offer(release.version, release.notes, release.kit.size_bytes, size_bytes if has_other_engine else 0)


def numbers(version: str) -> tuple[int, ...]:
    """For comparing; only plain releases such as "0.12.1" are ever published. Raises ValueError."""
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise ValueError(version)
    found = [int(part) for part in version.split(".")]
    while len(found) > 1 and not found[-1]:
        found.pop()
    return tuple(found)
