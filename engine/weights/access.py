"""How files are reached: which hub or mirror, through which proxy, with whose token.

Mirror and proxy come from the caller, else the environment, else `network.json` in the data folder. The token for
repositories with terms comes from the environment, else a file that only its owner can read.
"""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from engine.errors import RequestError
from engine.folders import data_folder

DEFAULT_ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SETTINGS = ("endpoint", "proxy")


@dataclass(frozen=True)
class Access:
    """Where to ask, and as whom."""

    endpoint: str = DEFAULT_ENDPOINT
    proxy: str | None = None  # None: what the environment or the system says
    token: str | None = None

    def __repr__(self) -> str:
        return f"Access({self.endpoint!r}, proxy={self.proxy is not None}, token={self.token is not None})"


def settings_path() -> Path:
    return data_folder() / "network.json"


def token_path() -> Path:
    return data_folder() / "hub-token"


def find_access(*, endpoint: str | None = None, proxy: str | None = None) -> Access:
    """What to use now. Raises RequestError for settings that cannot be read and a token that others can."""
    settings = saved_settings()
    return Access(
        endpoint=_checked(
            endpoint or os.environ.get(ENDPOINT_VARIABLE) or settings.get("endpoint") or DEFAULT_ENDPOINT
        ),
        proxy=proxy or settings.get("proxy"),
        token=_token(),
    )


def save_settings(*, endpoint: str | None, proxy: str | None) -> None:
    """Keep a mirror and a proxy for later; None forgets one. Raises RequestError and OSError."""
    values = {"endpoint": endpoint and _checked(endpoint), "proxy": proxy}
    _write_private(settings_path(), json.dumps({key: value for key, value in values.items() if value}, indent=1))


def save_token(token: str | None) -> None:
    """Keep a hub token where only its owner can read it; None forgets it. Raises RequestError and OSError."""
    if token is None:
        token_path().unlink(missing_ok=True)
        return
    if not token.strip() or not token.isascii() or any(letter.isspace() for letter in token.strip()):
        raise RequestError("token", "This is no token of a hub.", remedy="Copy it whole from your account's page.")
    _write_private(token_path(), token.strip() + "\n")


def saved_settings() -> dict[str, str]:
    """The mirror ("endpoint") and "proxy" that were kept, those that were. Raises RequestError."""
    path = settings_path()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _bad_settings(path) from error
    if not isinstance(values, dict):
        raise _bad_settings(path)
    kept = {key: value for key, value in cast("dict[str, object]", values).items() if key in _SETTINGS}
    if not all(isinstance(value, str) for value in kept.values()):
        raise _bad_settings(path)
    return cast("dict[str, str]", kept)


def _bad_settings(path: Path) -> RequestError:
    return RequestError("network", f"{path} cannot be read.", remedy="Delete it, and set mirror and proxy again.")


def _checked(endpoint: str) -> str:
    """A mirror's address without its last slash. https, because names and tokens go there; http for this machine."""
    scheme, separator, rest = endpoint.partition("://")
    if not separator or scheme not in {"http", "https"} or not rest.strip("/"):
        raise RequestError("endpoint", f"'{endpoint}' is not the address of a hub.", remedy="Give it as https://host.")
    return endpoint.rstrip("/")


def _token() -> str | None:
    for variable in TOKEN_VARIABLES:
        if value := os.environ.get(variable, "").strip():
            return value
    path = token_path()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RequestError("token", f"{path} cannot be read.", remedy="Delete it, and give the token again.") from error
    if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        raise RequestError(
            "token", f"Others on this machine can read the token in {path}.", remedy="Run chmod 600 on it."
        )
    return text or None


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
