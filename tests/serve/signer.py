"""Signs DICOM data sets for tests, as PS3.15 annex C says, with keys made on the spot.

It writes the signed elements with pydicom, so that it shares no code with what is tested. It knows plain elements only;
sequences and compressed pixels are left to DCMTK's dcmsign.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def certificate_of(key, name="Test Signer"):
    """A certificate that the key has signed for itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    return builder.sign(key, hashes.SHA256())


def new_rsa_key():
    return rsa.generate_private_key(65537, 2048)


def sign(image, key, *, algorithm="SHA256", tags=None, certificate=None, signed_at=""):
    """Add a digital signature over the elements of some tags (all, if none are given)."""
    tags = sorted(tags if tags is not None else [Tag(element.tag) for element in image if element.tag.group < 0xFFFA])
    item = Dataset()
    item.MACIDNumber = 1
    item.DigitalSignatureUID = generate_uid()
    item.DigitalSignatureDateTime = signed_at or datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    item.CertificateType = "X509_1993_SIG"
    content = b"".join(written(image[tag]) for tag in tags) + b"".join(written(element) for element in item)
    hashed = getattr(hashes, algorithm)()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(content, padding.PKCS1v15(), hashed)
    else:
        signature = key.sign(content, ec.ECDSA(hashed))
    der = (certificate or certificate_of(key)).public_bytes(serialization.Encoding.DER)
    item.CertificateOfSigner, item.Signature = even(der), even(signature)
    parameters = Dataset()
    parameters.MACIDNumber, parameters.MACAlgorithm = 1, algorithm
    parameters.MACCalculationTransferSyntaxUID, parameters.DataElementsSigned = ExplicitVRLittleEndian, tags
    image.MACParametersSequence, image.DigitalSignaturesSequence = [parameters], [item]
    return image


def even(value):
    return value + b"\0" * (len(value) % 2)


def written(element):
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element)
    return buffer.getvalue()
