"""Keyed pseudonyms and seals: what the record keeps of a patient without saying who it is.

One secret, kept outside the store, gives three keys: for pseudonyms, for the hash chain and for sealing what may be
read again only by whoever holds the secret. Without it a stolen store names nobody and cannot be rewritten unseen.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cds_service.errors import SettingsError
from cds_service.files import read_file

if TYPE_CHECKING:
    from pathlib import Path

SHORTEST_SECRET = 32
"""Least number of characters of the secret."""

_NONCE = 12
_HARMLESS_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Keys:
    """The keys made from one secret. Raises SettingsError for a secret that is too short."""

    def __init__(self, secret: str | bytes) -> None:
        raw = secret.encode() if isinstance(secret, str) else secret
        if len(raw) < SHORTEST_SECRET:
            raise SettingsError(f"The secret of the record needs at least {SHORTEST_SECRET} characters.")
        self._pseudonyms = hmac.digest(raw, b"durvalumab-cds pseudonym", "sha256")
        self._chain = hmac.digest(raw, b"durvalumab-cds chain", "sha256")
        self._seal = hmac.digest(raw, b"durvalumab-cds seal", "sha256")

    def pseudonym(self, *parts: str) -> str:
        """The same 32 hexadecimal digits for the same parts, telling nothing about them without the secret."""
        return hmac.digest(self._pseudonyms, "\x1f".join(parts).encode("utf-8", "surrogatepass"), "sha256")[:16].hex()

    def identifier(self, value: str) -> str:
        """An identifier that a client chose: a UUID as it is, anything else as a pseudonym, for it may say anything."""
        return value if _HARMLESS_ID.fullmatch(value) else f"~{self.pseudonym('identifier', value)}"

    def link(self, before: bytes, content: bytes) -> bytes:
        """The next link of the hash chain: 32 bytes over the link before and a row's content."""
        return hmac.digest(self._chain, before + content, "sha256")

    def seal(self, content: bytes, place: str = "") -> bytes:
        """Content encrypted with AES-256-GCM under the seal key. With ``place`` it opens nowhere else."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._seal).encrypt(nonce, content, place.encode())

    def unseal(self, sealed: bytes, place: str = "") -> bytes:
        """The content of a seal.

        Raises ValueError where it was sealed with another secret or for another place, or was changed.
        """
        try:
            return AESGCM(self._seal).decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
        except InvalidTag:
            raise ValueError("The seal does not open: another secret, or the content was changed.") from None

    @property
    def fingerprint(self) -> str:
        """Names the secret without telling it: to see that replicas share one."""
        return hashlib.sha256(self._chain).hexdigest()[:12]


def keys_from(secret: str | None, file: Path) -> Keys:
    """The keys of a given secret, else of the secret in a file, which is made on first use for its owner only.

    Raises SettingsError where the file can be neither read nor made.
    """
    if secret is not None:
        return Keys(secret)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Several workers may start at once: the one that creates the file writes it, whole, before it gets its name.
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        with contextlib.suppress(FileExistsError):
            if not file.exists():
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                    out.write(secrets.token_hex(32))
                    out.flush()
                    os.fsync(out.fileno())
                os.link(draft, file)
        draft.unlink(missing_ok=True)
        return Keys(read_file(file).decode().strip())
    except OSError as error:
        raise SettingsError(f"{file}: the secret of the record cannot be read or made ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: the secret of the record is no text in UTF-8.") from None
