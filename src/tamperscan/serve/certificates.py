"""Certificates in digital signatures: what they say of themselves, and whether a signature is by their key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tamperscan.errors import ServeError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

DIGEST_INFO: Final = {
    "RIPEMD160": ("ripemd160", "3021300906052b2403020105000414"),
    "MD5": ("md5", "3020300c06082a864886f70d020505000410"),
    "SHA1": ("sha1", "3021300906052b0e03021a05000414"),
    "SHA256": ("sha256", "3031300d060960864801650304020105000420"),
    "SHA384": ("sha384", "3041300d060960864801650304020205000430"),
    "SHA512": ("sha512", "3051300d060960864801650304020305000440"),
}
"""MACAlgorithm: its name in hashlib, and what stands before the digest in an RSA signature (RFC 8017, 9.2, note 1)."""

WEAK: Final = frozenset({"MD5", "SHA1", "RIPEMD160"})
"""Algorithms that are too weak today for a signature to prove much."""


class UnsupportedKeyError(Exception):
    """A key or a signature that can't be judged; says why."""


@dataclass(frozen=True)
class Signer:
    """A signer's certificate, as it presents itself; nobody has checked who issued it.

    Attributes
    ----------
    subject, issuer, serial
        Names (RFC 4514) and serial number (hexadecimal).
    not_before, not_after
        When it is valid, ISO 8601 in UTC.
    self_signed
        Whether subject and issuer are the same.
    key
        Kind and size of its key, such as ``"RSA 2048"``.
    sha256
        Its fingerprint.
    """

    subject: str
    issuer: str
    serial: str
    not_before: str
    not_after: str
    self_signed: bool
    key: str
    sha256: str


def read_certificate(value: bytes | None) -> Certificate | None:
    """Read a certificate from the value of CertificateOfSigner; None where it is none.

    Raises
    ------
    ServeError
        If the package that reads them is not installed.
    """
    try:
        from cryptography.x509 import load_der_x509_certificate
    except ImportError as error:
        needed = "Verifying digital signatures needs more packages. Install them: pip install 'tamperscan[serve]'."
        raise ServeError(needed) from error
    try:
        return load_der_x509_certificate(_without_padding(bytes(value or b"")))
    except ValueError:
        return None


def _without_padding(der: bytes) -> bytes:
    """Cut DER (ITU-T X.690 8.1.3) at the length that it states: DICOM pads values to an even length."""
    if len(der) > 2 and der[1] < 0x80:
        return der[: 2 + der[1]]
    count = der[1] & 0x7F if len(der) > 2 else 0
    if not 1 <= count <= 4:
        return der
    return der[: 2 + count + int.from_bytes(der[2 : 2 + count], "big")]


def is_consistent(certificate: Certificate) -> bool:
    """Whether a certificate that names itself as its issuer bears its own key's signature; others can't be checked."""
    if certificate.subject != certificate.issuer:
        return True
    try:
        certificate.verify_directly_issued_by(certificate)
    except Exception:  # a wrong signature, or an algorithm that is not known
        return False
    return True


def fits(certificate: Certificate, signature: bytes, algorithm: str, digest: bytes) -> bool:
    """Whether a signature over a digest is by a certificate's key.

    Parameters
    ----------
    certificate
        The signer's.
    signature
        The value of Signature, which may be padded to an even length.
    algorithm
        MACAlgorithm, one of `DIGEST_INFO`.
    digest
        Of the signed bytes, by that algorithm.

    Raises
    ------
    UnsupportedKeyError
        If it can't be told.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            size = (key.key_size + 7) // 8
            stated = key.recover_data_from_signature(signature[:size], padding.PKCS1v15(), None)
            return stated == bytes.fromhex(DIGEST_INFO[algorithm][1]) + digest
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm in ("SHA256", "SHA384", "SHA512"):
            key.verify(_without_padding(signature), digest, ec.ECDSA(_prehashed(algorithm)))
            return True
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError) as error:
        raise UnsupportedKeyError("its key or its value is damaged or of a kind not known here") from error
    raise UnsupportedKeyError(f"it is by a key of another kind than RSA ({_kind(key)} with {algorithm})")


def _prehashed(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    return Prehashed(getattr(hashes, algorithm)())


def _kind(key: Any) -> str:
    name = type(key).__name__.removesuffix("PublicKey").lstrip("_")
    kind = {"EllipticCurve": "EC"}.get(name, name)
    size = getattr(key, "key_size", None)
    return f"{kind} {size}" if size else kind


def signer_of(certificate: Certificate) -> Signer:
    """Tell what a certificate says of itself."""
    from cryptography.hazmat.primitives import hashes

    try:
        key = _kind(certificate.public_key())
    except Exception:  # keys of unknown kinds; what else the certificate says is still worth telling
        key = "of an unknown kind"
    return Signer(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc.isoformat(),
        not_after=certificate.not_valid_after_utc.isoformat(),
        self_signed=certificate.subject == certificate.issuer,
        key=key,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )
