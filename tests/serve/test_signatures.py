import shutil
import subprocess
import zipfile

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dicom_maker import dataset, hounsfield, item, save
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from signer import certificate_of, new_rsa_key, sign

from tamperscan.errors import ScanError
from tamperscan.scan import read_scan
from tamperscan.scan.sources import ZipSource
from tamperscan.scan.stored import SIGNED
from tamperscan.serve.signatures import State, signature_lines, verify_signatures

needs_dcmsign = pytest.mark.skipif(shutil.which("dcmsign") is None, reason="no dcmsign (apt package dcmtk)")
KEY = new_rsa_key()
CERTIFICATE = certificate_of(KEY)


def image(**values):
    return dataset(hounsfield(1, 40, 48)[0], PatientName="Doe^Jane", StudyDescription="odd", **values)


@pytest.fixture
def signed(tmp_path):
    return save(sign(image(), KEY, signed_at="20260102030405"), tmp_path / "signed.dcm")


def only(path):
    (found,) = verify_signatures(path)
    return found


def edit(path, **values):
    changed = dcmread(path)
    for keyword, value in values.items():
        setattr(changed, keyword, value)
    changed.save_as(path)
    return path


def test_a_file_without_signatures_has_none(tmp_path):
    assert verify_signatures(save(image(), tmp_path / "plain.dcm")) == []


def test_a_valid_signature_is_told_with_its_signer(signed):
    found = only(signed)
    assert (found.state, found.reason, found.place) == (State.VALID, "", "")
    assert found.covers_pixels
    assert found.signed_at == "20260102030405"
    assert (found.signer.subject, found.signer.key, found.signer.self_signed) == ("CN=Test Signer", "RSA 2048", True)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA384", "SHA512", "MD5"])
def test_algorithms_of_the_standard(tmp_path, algorithm):
    found = only(save(sign(image(), KEY, algorithm=algorithm), tmp_path / "signed.dcm"))
    assert found.state is State.VALID
    assert bool(found.reason) == (algorithm in ("SHA1", "MD5"))


def test_a_signature_by_an_elliptic_curve(tmp_path):
    found = only(save(sign(image(), ec.generate_private_key(ec.SECP256R1())), tmp_path / "signed.dcm"))
    assert (found.state, found.signer.key) == (State.VALID, "EC 256")


def test_changed_pixels_are_found(signed):
    pixels = bytearray(dcmread(signed).PixelData)
    pixels[100] ^= 1
    assert only(edit(signed, PixelData=bytes(pixels))).state is State.ALTERED


def test_a_changed_name_is_found(signed):
    assert only(edit(signed, PatientName="Doe^John")).state is State.ALTERED


def test_a_missing_element_is_named(signed):
    changed = dcmread(signed)
    del changed.StudyDescription
    changed.save_as(signed)
    found = only(signed)
    assert (found.state, found.reason) == (State.ALTERED, "the signed element (0008,1030) is missing")


def test_a_changed_time_of_signing_is_found(signed):
    changed = dcmread(signed)
    changed.DigitalSignaturesSequence[0].DigitalSignatureDateTime = "20200101"
    changed.save_as(signed)
    assert only(signed).state is State.ALTERED


def test_an_element_that_was_added_is_not_covered(signed):
    assert only(edit(signed, InstitutionName="elsewhere")).state is State.VALID


def test_a_signature_of_the_header_alone_does_not_cover_the_pixels(tmp_path):
    path = save(sign(image(), KEY, tags=[0x00100010]), tmp_path / "header.dcm")
    found = only(edit(path, PixelData=bytes(len(dcmread(path).PixelData))))
    assert (found.state, found.elements, found.covers_pixels) == (State.VALID, 1, False)


def test_a_signature_by_another_key_does_not_fit(tmp_path):
    path = save(sign(image(), KEY, certificate=certificate_of(new_rsa_key())), tmp_path / "other.dcm")
    assert only(path).state is State.ALTERED


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_pixels_compressed_without_loss_after_signing_still_fit(signed, syntax):
    changed = dcmread(signed)
    changed.compress(syntax, generate_instance_uid=False)
    changed.save_as(signed)
    assert only(signed).state is State.VALID


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("MACAlgorithm", "SHA9", "its MAC algorithm is SHA9"),
        ("MACIDNumber", 9, "its MAC algorithm is not stated"),
        ("DataElementsSigned", None, "which elements it covers"),
        ("MACCalculationTransferSyntaxUID", "1.2.840.10008.1.2.2", "Big Endian"),
        ("MACCalculationTransferSyntaxUID", "1.2.3", "transfer syntax"),
    ],
)
def test_parameters_that_are_not_understood(signed, keyword, value, reason):
    changed = dcmread(signed)
    setattr(changed.MACParametersSequence[0], keyword, value)
    changed.save_as(signed)
    found = only(signed)
    assert found.state is State.UNSUPPORTED
    assert reason in found.reason


@pytest.mark.parametrize("value", [b"", b"\0\0", b"\x30\x80\0\0", b"\x30\x82\xff\xff" + b"x" * 10])
def test_a_certificate_that_is_none(signed, value):
    changed = dcmread(signed)
    changed.DigitalSignaturesSequence[0].CertificateOfSigner = value
    changed.save_as(signed)
    assert (only(signed).state, only(signed).signer) == (State.UNSUPPORTED, None)


@pytest.mark.parametrize("value", [b"", b"\0\0", b"\1" * 256, b"\xff" * 256, b"\1" * 1000])
def test_a_signature_that_is_none(signed, value):
    changed = dcmread(signed)
    changed.DigitalSignaturesSequence[0].Signature = value
    changed.save_as(signed)
    assert only(signed).state is not State.VALID


def test_a_signed_item_of_a_sequence(tmp_path):
    made = image()
    code = sign(item(CodeValue="1", CodingSchemeDesignator="DCM", CodeMeaning="one"), KEY)
    made.ProcedureCodeSequence = [item(CodeValue="0"), code]
    found = only(save(made, tmp_path / "item.dcm"))
    assert (found.state, found.place) == (State.VALID, "ProcedureCodeSequence[2]")


def test_a_file_in_a_zip(tmp_path, signed):
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.write(signed, "signed.dcm")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        found = verify_signatures(ZipSource(archive, "one.zip", archive.infolist()[0]))
    assert [one.state for one in found] == [State.VALID]


def test_what_is_no_dicom_file_is_told(tmp_path):
    (tmp_path / "other").write_bytes(b"x")
    with pytest.raises(ScanError):
        verify_signatures(tmp_path / "other")


def test_the_reader_says_that_a_file_is_signed(signed):
    assert SIGNED in read_scan(signed).warnings


def test_a_certificate_that_was_altered_is_not_believed(signed):
    changed = dcmread(signed)
    item = changed.DigitalSignaturesSequence[0]
    item.CertificateOfSigner = item.CertificateOfSigner.replace(b"Test Signer", b"Best Signer")
    changed.save_as(signed)
    assert only(signed).state is State.UNSUPPORTED


def test_every_changed_byte_of_a_signed_value_is_found(signed):
    whole = signed.read_bytes()
    for value in (b"Doe^Jane", b"odd", b"MONOCHROME2"):
        for place in range(whole.index(value), whole.index(value) + len(value)):
            signed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert only(signed).state is not State.VALID


def test_what_the_audit_log_keeps(signed):
    ((event, facts),) = signature_lines(signed, {"study": "1.2", "sender": "X"})
    assert (event, facts["study"], facts["state"], facts["covers_pixels"]) == ("signature", "1.2", "valid", True)
    assert "Signer" not in str(facts)


@pytest.fixture(scope="module")
def key_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key").write_bytes(KEY.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
    (folder / "certificate").write_bytes(CERTIFICATE.public_bytes(pem))
    return str(folder / "key"), str(folder / "certificate")


def dcmtk(program, *arguments):
    outcome = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr


def structured():
    """An image with sequences within sequences, an empty one, private elements and odd lengths."""
    made = image(SpecificCharacterSet="ISO_IR 100")
    made.ProcedureCodeSequence = [item(CodeValue="1", EquivalentCodeSequence={"CodeValue": "odd"}), item(CodeValue="2")]
    made.RequestAttributesSequence = []
    block = made.private_block(0x0009, "TEST", create=True)
    block.add_new(1, "LO", "abc")
    block.add_new(2, "FD", 1.5)
    return made


@needs_dcmsign
@pytest.mark.parametrize("option", ["+mr", "+ms", "+mm", "+m2", "+m3", "+m5"])
def test_what_dcmsign_signed_is_valid(tmp_path, key_files, option):
    plain = save(structured(), tmp_path / "plain.dcm")
    dcmtk("dcmsign", "+s", *key_files, option, plain, tmp_path / "signed.dcm")
    assert only(tmp_path / "signed.dcm").state is State.VALID
    assert only(edit(tmp_path / "signed.dcm", PatientName="Doe^John")).state is State.ALTERED


@needs_dcmsign
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_what_dcmsign_signed_compressed_is_valid(tmp_path, key_files, syntax):
    made = structured()
    save(made, tmp_path / "plain.dcm")
    made.compress(syntax, generate_instance_uid=False)
    dcmtk("dcmsign", "+s", *key_files, "+m2", save(made, tmp_path / "packed.dcm"), tmp_path / "signed.dcm")
    assert only(tmp_path / "signed.dcm").state is State.VALID
    changed = dcmread(tmp_path / "signed.dcm")
    changed.decompress(generate_instance_uid=False)
    changed.save_as(tmp_path / "unpacked.dcm")
    assert only(tmp_path / "unpacked.dcm").state is State.UNSUPPORTED


@needs_dcmsign
@pytest.mark.parametrize(("option", "state"), [("+ti", State.VALID), ("+tb", State.UNSUPPORTED)])
def test_what_dcmsign_signed_and_dcmconv_converted(tmp_path, key_files, option, state):
    made = structured()
    del made[0x0009, 0x0010], made[0x0009, 0x1001], made[0x0009, 0x1002]  # in implicit VR nobody knows these
    dcmtk("dcmsign", "+s", *key_files, "+m2", save(made, tmp_path / "plain.dcm"), tmp_path / "signed.dcm")
    dcmtk("dcmconv", option, tmp_path / "signed.dcm", tmp_path / "converted.dcm")
    assert only(tmp_path / "converted.dcm").state is state


@needs_dcmsign
def test_what_our_signer_signs_is_valid_to_dcmsign(tmp_path, key_files):
    signed = save(sign(image(), KEY, certificate=CERTIFICATE), tmp_path / "signed.dcm")
    dcmtk("dcmsign", "--verify", "--require-sig", "+cf", key_files[1], signed)
