import pytest

pytest.importorskip("pynetdicom")

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import build_context
from pynetdicom.presentation import negotiate_as_acceptor
from raw_peer import CT, MR

from tamperscan.serve.contexts import supported_among


def proposal(*contexts):
    built = [build_context(abstract, list(syntaxes)) for abstract, syntaxes in contexts]
    for number, one in enumerate(built):
        one.context_id = 2 * number + 1
    return built


def negotiate(*contexts):
    """What pynetdicom makes of it: transfer syntax by ID, or the result where there is none."""
    proposed = proposal(*contexts)
    outcome, _ = negotiate_as_acceptor(proposed, supported_among(proposed))
    return {one.context_id: one.transfer_syntax[0] if one.result == 0 else one.result for one in outcome}


@pytest.mark.parametrize(
    "syntaxes",
    [(JPEG2000Lossless, ExplicitVRLittleEndian), (ExplicitVRLittleEndian, JPEG2000Lossless), (ImplicitVRLittleEndian,)],
)
def test_the_sender_chooses_the_transfer_syntax(syntaxes):
    assert negotiate((CT, ("1.2.3", *syntaxes))) == {1: syntaxes[0]}


def test_each_context_of_a_class_gets_one_of_its_own():
    first, second = (JPEG2000Lossless,), (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    assert negotiate((CT, first), (CT, second), (MR, second)) == {1: first[0], 3: second[0], 5: second[0]}


def test_what_is_not_known_is_refused():
    assert negotiate(("1.2.3.4", (ImplicitVRLittleEndian,)), (CT, (ImplicitVRLittleEndian,)))[1] == 3
    assert negotiate(("1.2.840.10008.1.20.1", (JPEG2000Lossless,)), (CT, (ImplicitVRLittleEndian,)))[1] != 0
