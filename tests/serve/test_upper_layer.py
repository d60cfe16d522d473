import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_peer import CT, EXPLICIT, associate_request

from tamperscan.serve import dimse
from tamperscan.serve.first_elements import first_uids
from tamperscan.serve.upper_layer import (
    ProtocolError,
    accept_message,
    data_messages,
    fragments,
    negotiate,
    parse_request,
)

IMPLICIT = "1.2.840.10008.1.2"


def test_a_request_is_read():
    request = parse_request(associate_request("NODE", "SCANNER")[6:])
    assert (request.called, request.calling, request.max_pdu) == ("NODE", "SCANNER", 16384)
    assert request.proposed == {1: (CT, (EXPLICIT,))}


def test_a_request_of_pynetdicom_is_read_and_our_answer_is_read_by_it():
    pdu = pytest.importorskip("pynetdicom.pdu")
    from pynetdicom import StoragePresentationContexts
    from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    contexts = StoragePresentationContexts[:5]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 1000, "1.2.3"
    primitive.user_information = [length, implementation]
    request = parse_request(pdu.A_ASSOCIATE_RQ(primitive).encode()[6:])
    assert [syntax for syntax, _ in request.proposed.values()] == [str(one.abstract_syntax) for one in contexts]
    accepted, results = negotiate(request.proposed, {str(contexts[0].abstract_syntax): frozenset((EXPLICIT,))})
    answer = pdu.A_ASSOCIATE_AC()
    answer.decode(accept_message(request, accepted, results))
    assert [item.result for item in answer.presentation_context] == [0, 3, 3, 3, 3]
    assert answer.presentation_context[0].transfer_syntax == EXPLICIT


def test_the_sender_chooses_the_transfer_syntax():
    supported = {CT: frozenset((EXPLICIT, IMPLICIT))}
    accepted, results = negotiate(
        {1: (CT, ("1.2.3", IMPLICIT, EXPLICIT)), 3: (CT, ("1.2.3",)), 5: ("1.9", ())}, supported
    )
    assert accepted[1].transfer_syntax == IMPLICIT
    assert results == {1: 0, 3: 4, 5: 3}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_protocol_error(content):
    for body in (content, associate_request()[6:80] + content):
        with contextlib.suppress(ProtocolError):
            parse_request(body)


@given(st.binary(max_size=5000), st.integers(0, 600), st.booleans())
def test_what_is_cut_into_pdus_is_put_together_again(content, longest, command):
    parts = []
    for message in data_messages(3, content, command=command, max_pdu=longest):
        assert not longest or len(message) - 6 <= max(7, longest)
        ((context, of_command, last, part),) = fragments(memoryview(message)[6:])
        assert (context, of_command) == (3, command)
        parts.append((bytes(part), last))
    assert b"".join(part for part, _ in parts) == content
    assert [last for _, last in parts] == [False] * (len(parts) - 1) + [True]


@given(st.binary(max_size=200))
def test_any_bytes_are_fragments_or_a_protocol_error(content):
    with contextlib.suppress(ProtocolError):
        list(fragments(memoryview(content)))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_protocol_error(content):
    with contextlib.suppress(ProtocolError):
        dimse.decode(content)


def test_a_response_repeats_what_was_asked():
    asked = {
        dimse.COMMAND_FIELD: dimse.C_STORE_RQ,
        dimse.MESSAGE_ID: 7,
        dimse.AFFECTED_CLASS: CT,
        dimse.AFFECTED_INSTANCE: "1.2",
    }
    answer = dimse.decode(dimse.answer(asked, dimse.OUT_OF_RESOURCES, "the disk is full"))
    assert answer[dimse.COMMAND_FIELD] == 0x8001
    assert (answer[dimse.ANSWERED_ID], answer[dimse.STATUS]) == (7, 0xA700)
    assert (answer[dimse.AFFECTED_CLASS], answer[dimse.AFFECTED_INSTANCE]) == (CT, "1.2")


@pytest.mark.parametrize("order", [EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.2"])
def test_the_first_elements_tell_which_object_it_is(order):
    dsutils = pytest.importorskip("pynetdicom.dsutils")
    from pydicom.dataset import Dataset

    dataset = Dataset()
    dataset.SpecificCharacterSet, dataset.SOPClassUID, dataset.SOPInstanceUID = "ISO_IR 100", CT, "1.2.3.4"
    dataset.PatientName = "A^B"
    content = dsutils.encode(dataset, order == IMPLICIT, order != "1.2.840.10008.1.2.2")
    assert first_uids(content, order) == (CT, "1.2.3.4")


@given(st.binary(max_size=100), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_of_any_bytes_the_first_elements_tell_at_most_nothing(content, order):
    first_uids(content, order)
    first_uids(struct.pack("<HH", 8, 0x16) + content, order)
